/*
 * The sandbox's own pixel: written from scratch for pixeltwin, it shares no code with Meta's script.
 *
 * It speaks the wire of the real one (PROTOCOL 2.2, 3.2 to 3.9, 4.1), so that a page, a gateway and a test see
 * the same requests: parameters and their order, hashes, cookies, transports, the config gate, consent, limited
 * data use. Left out: automatic events, masks and other diagnostics (cud, expv2, ...), cross-typed matching data,
 * names of states and countries (give codes), OpenBridge. `v` says "pixeltwin-1": nobody takes it for Meta's.
 *
 * It answers the standard loader snippet, and calls Meta by default where it was loaded from: there the sandbox
 * is Meta. `fbq('set', 'endpoint', url)` and `fbq('set', 'cdn', url)` before `init` send it elsewhere.
 */
(function (window, document, navigator) {
  "use strict";

  var VERSION = "pixeltwin-1";
  var COOKIE_DAYS = 90;
  var MAX_CLICK_ID = 500;
  var MAX_URL = 2048;
  var MAX_URL_IN_APP = 32 * 1024;
  var IN_APP = /FBAN|FBAV|Instagram/;
  var BOTS = /HeadlessChrome|Chrome-Lighthouse|curl|axios|Python-urllib|googlebot|GPTBot|ClaudeBot/i;

  // The bits of `o` that this pixel knows (PROTOCOL 3.5).
  var AUTO_CONFIG_OFF = 1;
  var AUTO_CONFIG_ON = 2;
  var CONFIG_LOADING = 4;
  var INVALID_USER_DATA = 32;
  var FIRST_PARTY_COOKIES = 4096;

  // What trackSingle and trackSingleCustom put into `tm`; track and trackCustom put nothing.
  var SINGLE = 1;
  var SINGLE_CUSTOM = 2;

  var fbq = window.fbq;
  if (!fbq || fbq.callMethod) {
    return; // no loader snippet, or loaded twice
  }

  var base = scriptBase();
  var settings = { endpoint: base + "tr/", cdn: base, agent: "", releaseSegment: "stable", userData: {} };
  var pixels = {};
  var pixelOrder = [];
  var switches = { autoConfig: {}, firstPartyCookies: {} }; // by pixel id, or EVERY_PIXEL
  var EVERY_PIXEL = "*";
  var limitedDataUse = null;
  var consentRevoked = false;
  var awaitingConsent = [];
  var page = { url: window.location.href, referrer: document.referrer };

  // ---- Small helpers

  function has(object, key) {
    return Object.prototype.hasOwnProperty.call(object, key);
  }

  function each(object, visit) {
    Object.keys(object && typeof object === "object" ? object : {}).forEach(function (key) {
      visit(key, object[key]);
    });
  }

  function allPixels() {
    return pixelOrder.map(function (id) {
      return pixels[id];
    });
  }

  // "https://host/en_US/fbevents.js" -> "https://host/"; elsewhere the page's own origin.
  function scriptBase() {
    var src = (document.currentScript && document.currentScript.src) || "";
    var match = /^(.*\/)[^\/]+\/fbevents\.js(?:[?#].*)?$/.exec(src);
    return match ? match[1] : window.location.protocol + "//" + window.location.host + "/";
  }

  function queryValue(url, name) {
    var match = new RegExp("[?&]" + name + "=([^&#]*)").exec(url || "");
    try {
      return match ? decodeURIComponent(match[1]) : "";
    } catch (malformed) {
      return "";
    }
  }

  // ---- SHA-256 (FIPS 180-4), synchronous: crypto.subtle is neither synchronous nor there on plain http

  var PRIMES = firstPrimes(64);
  var INITIAL = PRIMES.slice(0, 8).map(function (prime) {
    return fraction(Math.sqrt(prime));
  });
  var ROUNDS = PRIMES.map(function (prime) {
    return fraction(Math.pow(prime, 1 / 3));
  });

  function firstPrimes(count) {
    var found = [];
    for (var n = 2; found.length < count; n++) {
      if (found.every(function (prime) { return n % prime; })) {
        found.push(n);
      }
    }
    return found;
  }

  // The first 32 bits of the fractional part.
  function fraction(number) {
    return ((number - Math.floor(number)) * 4294967296) | 0;
  }

  function rotate(word, bits) {
    return (word >>> bits) | (word << (32 - bits));
  }

  function sha256(text) {
    var words = paddedWords(unescape(encodeURIComponent(text))); // the UTF-8 bytes as characters
    var state = INITIAL;
    for (var start = 0; start < words.length; start += 16) {
      state = compress(state, expand(words.slice(start, start + 16)));
    }
    return state.map(hex).join("");
  }

  function paddedWords(bytes) {
    var words = [];
    var length = (((bytes.length + 8) >> 6) + 1) * 16;
    for (var i = 0; i < length; i++) {
      words[i] = 0;
    }
    for (var j = 0; j < bytes.length; j++) {
      words[j >> 2] |= bytes.charCodeAt(j) << (24 - (j % 4) * 8);
    }
    words[bytes.length >> 2] |= 0x80 << (24 - (bytes.length % 4) * 8);
    words[length - 1] = bytes.length * 8;
    return words;
  }

  function expand(block) {
    var w = block;
    for (var i = 16; i < 64; i++) {
      var low = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      var high = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + low + w[i - 7] + high) | 0;
    }
    return w;
  }

  function compress(state, w) {
    var v = state.slice();
    for (var i = 0; i < 64; i++) {
      var high = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
      var choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
      var first = (v[7] + high + choice + ROUNDS[i] + w[i]) | 0;
      var low = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
      var majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
      v = [(first + low + majority) | 0, v[0], v[1], v[2], (v[3] + first) | 0, v[4], v[5], v[6]];
    }
    return state.map(function (word, index) {
      return (word + v[index]) | 0;
    });
  }

  function hex(word) {
    return ("0000000" + (word >>> 0).toString(16)).slice(-8);
  }

  // ---- Advanced matching (PROTOCOL 1.5.1, 3.6). A normaliser gives the text to hash, or null to refuse the value.

  var ASCII_PUNCTUATION = /[!-\/:-@\[-`{-~]/g;
  var EMAIL = /^[^\s@,"<>()[\]]+@[^\s@,.<>()[\]]+(?:\.[^\s@,.<>()[\]]+)+$/; // one address, no more
  var HASH = /^(?:[0-9a-f]{64}|[0-9a-f]{32})$/i;
  var SHA256_HASH = /^[0-9a-f]{64}$/i;

  var NORMALIZERS = {
    em: function (text) {
      var address = text.toLowerCase();
      if (address.indexOf("@") < 0) {
        address += "@gmail.com"; // as the real one does, to everybody's surprise
      }
      return EMAIL.test(address) ? address : null;
    },
    ph: function (text) {
      return text.replace(/[^0-9]/g, "").replace(/^0+/, "") || text;
    },
    fn: personName,
    ln: personName,
    ge: function (text) {
      return /^[fm]$/i.test(text) ? text.toLowerCase() : text;
    },
    db: birthday,
    ct: function (text) {
      var city = text.toLowerCase().replace(/[^a-z0-9]/g, "");
      return /^[a-z]/.test(city) ? city : null;
    },
    st: twoLetters,
    country: twoLetters,
    zp: function (text) {
      var code = text.toLowerCase().split("-")[0].trim();
      return code.length > 1 ? code : null;
    },
    external_id: function (text) {
      return text.toLowerCase().replace(/\s/g, "");
    }
  };

  function personName(text) {
    return text.toLowerCase().replace(/\s/g, "").replace(ASCII_PUNCTUATION, "") || null;
  }

  function twoLetters(text) {
    return text.toLowerCase().replace(/[^a-z]/g, "").slice(0, 2) || null;
  }

  // YYYYMMDD: of three groups of digits the one above 31 is the year, one above 12 the day, month first in doubt.
  function birthday(text) {
    var groups = text.match(/\d+/g) || [];
    if (groups.length === 1 && groups[0].length === 8) {
      return groups[0];
    }
    var year = groups.filter(function (group) { return Number(group) > 31; })[0];
    if (groups.length !== 3 || !year) {
      return text;
    }
    groups.splice(groups.indexOf(year), 1);
    var monthAndDay = Number(groups[0]) > 12 ? groups.reverse() : groups;
    return year + monthAndDay.map(function (group) { return ("0" + group).slice(-2); }).join("");
  }

  // {hashes: {em: hex, ...}, invalid: whether a value was refused}
  function matchingData(raw) {
    var found = { hashes: {}, invalid: false };
    if (raw && Array.isArray(raw.em)) {
      return { hashes: {}, invalid: true }; // a list in em makes all of it disappear (PROTOCOL 3.6)
    }
    each(raw, function (key, value) {
      var text = value === null || value === undefined ? "" : asText(value).trim();
      if (!text) {
        return;
      }
      var hash = hashed(key, text);
      if (hash) {
        found.hashes[key] = hash;
      } else {
        found.invalid = true;
      }
    });
    return found;
  }

  function hashed(key, text) {
    if ((key === "em" ? SHA256_HASH : HASH).test(text)) {
      return text.toLowerCase();
    }
    var normal = has(NORMALIZERS, key) ? NORMALIZERS[key](text) : text;
    return normal && sha256(normal);
  }

  function asText(value) {
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  // ---- Cookies (PROTOCOL 2.1, 2.2)

  var cookieHome = null;

  // The shortest parent domain that takes a cookie, and its subdomain index.
  function findCookieHome() {
    var host = window.location.hostname;
    var labels = host.split(".");
    if (labels.length === 1 || /^[\d.]+$|:/.test(host)) {
      return { domain: "", index: 0 };
    }
    for (var index = 0; index < labels.length; index++) {
      var domain = labels.slice(-(index + 1)).join(".");
      if (takesCookies(domain)) {
        return { domain: domain, index: index };
      }
    }
    return { domain: "", index: labels.length - 1 };
  }

  function takesCookies(domain) {
    document.cookie = "_fbprobe=1; path=/; domain=" + domain;
    var taken = readCookie("_fbprobe") === "1";
    document.cookie = "_fbprobe=; path=/; max-age=0; domain=" + domain;
    return taken;
  }

  function readCookie(name) {
    var match = new RegExp("(?:^|; )" + name + "=([^;]*)").exec(document.cookie);
    try {
      return match ? decodeURIComponent(match[1]) : "";
    } catch (malformed) {
      return "";
    }
  }

  function writeCookie(name, value) {
    var expires = new Date(Date.now() + COOKIE_DAYS * 864e5).toUTCString();
    var domain = cookieHome.domain ? "; domain=" + cookieHome.domain : "";
    var sameSite = isChrome() ? "; SameSite=Lax" : "";
    document.cookie = name + "=" + encodeURIComponent(value) + "; expires=" + expires + "; path=/" + domain + sameSite;
  }

  // {text, payload} of a cookie in Meta's form, or null. A dot inside a payload is stored as __DOT__.
  function parseCookie(text) {
    var parts = text.split(".");
    var shaped = (parts.length === 4 || parts.length === 5) && parts[0] === "fb" && parts[3];
    if (!shaped || !/^\d+$/.test(parts[1]) || !/^\d+$/.test(parts[2])) {
      return null;
    }
    if (parts.length === 5 && !/^(?:AQ|Ag|Aw|BA|BQ|Bg|.{8})$/.test(parts[4])) {
      return null;
    }
    return { text: text, payload: parts[3].replace(/__DOT__/g, ".") };
  }

  function newCookie(payload) {
    var text = ["fb", cookieHome.index, Date.now(), payload.replace(/\./g, "__DOT__")].join(".");
    return { text: text, payload: payload };
  }

  function newBrowserId() {
    return newCookie("" + Math.floor(Math.random() * 999999999) + Math.floor(Math.random() * 999999999));
  }

  function clickId() {
    var id = queryValue(window.location.href, "fbclid") || queryValue(document.referrer, "fbclid");
    return id.length <= MAX_CLICK_ID && id.indexOf("javascript") < 0 ? id : "";
  }

  // Both cookies, extended by another 90 days; _fbc is new only for a new click id.
  function keepCookies() {
    cookieHome = cookieHome || findCookieHome();
    var click = clickId();
    var fbc = parseCookie(readCookie("_fbc"));
    var fbp = parseCookie(readCookie("_fbp")) || newBrowserId();
    if (click && !(fbc && fbc.payload === click)) {
      fbc = newCookie(click);
    }
    writeCookie("_fbp", fbp.text);
    if (fbc) {
      writeCookie("_fbc", fbc.text);
    }
    return { fbc: fbc && fbc.text.replace(/__DOT__/g, "."), fbp: fbp.text };
  }

  // ---- Transport (PROTOCOL 3.3)

  function isChrome() {
    return Boolean(window.chrome) && /Google/.test(navigator.vendor) && !/Edg|OPR|CriOS/.test(navigator.userAgent);
  }

  function send(params) {
    var url = settings.endpoint + "?" + asQuery(params.concat([["rqm", "GET"]]));
    if (url.length < (IN_APP.test(navigator.userAgent) ? MAX_URL_IN_APP : MAX_URL)) {
      new window.Image().src = url;
    } else if (isChrome() || !sendByBeacon(params)) {
      sendByForm(params.concat([["rqm", "formPOST"]]));
    }
  }

  function sendByBeacon(params) {
    var data = new window.FormData();
    params.concat([["rqm", "SB"]]).forEach(function (param) {
      data.append(param[0], param[1]);
    });
    return Boolean(navigator.sendBeacon) && navigator.sendBeacon(settings.endpoint, data);
  }

  function sendByForm(params) {
    var frame = document.createElement("iframe");
    var form = document.createElement("form");
    frame.name = form.target = "fb" + Math.random().toString(36).slice(2);
    frame.style.display = form.style.display = "none";
    form.method = "post";
    form.action = settings.endpoint;
    form.acceptCharset = "utf-8";
    params.forEach(function (param) {
      var input = document.createElement("input");
      input.type = "hidden";
      input.name = param[0];
      input.value = param[1];
      form.appendChild(input);
    });
    var parent = document.body || document.documentElement;
    parent.appendChild(frame); // about:blank has loaded by now: the next load is Meta's answer
    parent.appendChild(form);
    frame.onload = function () {
      parent.removeChild(frame);
    };
    form.submit();
    parent.removeChild(form);
  }

  function asQuery(params) {
    return params.map(function (param) {
      return encodeKey(param[0]) + "=" + encodeURIComponent(param[1]);
    }).join("&");
  }

  // The brackets of cd[...] and ud[...] stay literal, what is inside them is encoded (PROTOCOL 3.4).
  function encodeKey(key) {
    var match = /^(cd|ud)\[([\s\S]*)\]$/.exec(key);
    return match ? match[1] + "[" + encodeURIComponent(match[2]) + "]" : encodeURIComponent(key);
  }

  // ---- Events

  function track(pixel, name, data, options, method) {
    var event = {
      pixel: pixel,
      name: String(name),
      data: data,
      id: eventId(options),
      method: method,
      at: Date.now(),
      url: window.location.href,
      referrer: page.referrer,
      limitedDataUse: limitedDataUse
    };
    pixel.sawPageView = pixel.sawPageView || name === "PageView";
    (consentRevoked ? awaitingConsent : pixel.waiting).push(event);
    flush(pixel);
  }

  // eventID or event_id, also nested once; undefined where there is none (PROTOCOL 3.7).
  function eventId(options) {
    var id = options && (has(options, "eventID") ? options.eventID : options.event_id);
    if (id && typeof id === "object") {
      id = id.eventID;
    }
    return id === null || id === undefined ? undefined : String(id);
  }

  // Events stay locked up until the pixel's config has come (PROTOCOL 3.2).
  function flush(pixel) {
    while (pixel.unlocked && pixel.waiting.length) {
      fire(pixel.waiting.shift());
    }
  }

  // A value that cannot be encoded costs its event, never the page. Bots are counted and not sent (PROTOCOL 3.9).
  function fire(event) {
    try {
      var params = hitParams(event);
      if (!BOTS.test(navigator.userAgent)) {
        send(params);
      }
    } catch (error) {
      window.console.warn("[pixeltwin] " + event.name + " was not sent: " + error.message);
    }
  }

  function hitParams(event) {
    var pixel = event.pixel;
    var matching = matchingData(pixel.userData || settings.userData);
    var params = [
      ["id", pixel.id],
      ["ev", event.name],
      ["dl", event.url],
      ["rl", event.referrer],
      ["if", String(window.top !== window)],
      ["ts", String(event.at)]
    ];
    each(event.data, function (key, value) {
      addCustomData(params, key, value);
    });
    params.push(["sw", String(window.screen.width)], ["sh", String(window.screen.height)]);
    each(matching.hashes, function (key, hash) {
      params.push(["ud[" + key + "]", hash]);
    });
    params.push(["v", VERSION], ["r", settings.releaseSegment]);
    if (settings.agent) {
      params.push(["a", settings.agent]);
    }
    params.push(["ec", String(pixel.eventCount++)], ["o", String(optionBits(pixel, matching))]);
    return params.concat(cookieParams(pixel), lastParams(event));
  }

  function addCustomData(params, key, value) {
    var text = value === null || value === undefined ? undefined : asText(value);
    if (text !== undefined && typeof value !== "function") {
      params.push(["cd[" + key + "]", text]);
    }
  }

  function cookieParams(pixel) {
    var cookies = usesCookies(pixel) ? keepCookies() : {};
    return ["fbc", "fbp"].filter(function (name) {
      return cookies[name];
    }).map(function (name) {
      return [name, cookies[name]];
    });
  }

  function lastParams(event) {
    var params = [["it", String(event.pixel.startedAt)], ["coo", "false"]];
    each(event.limitedDataUse, function (name, value) {
      params.push([name, value]);
    });
    if (event.id !== undefined) {
      params.push(["eid", event.id]);
    }
    if (event.method) {
      params.push(["tm", String(event.method)]);
    }
    return params;
  }

  function optionBits(pixel, matching) {
    return (
      (isOn("autoConfig", pixel.id) ? AUTO_CONFIG_ON : AUTO_CONFIG_OFF) |
      (fbq.disableConfigLoading ? 0 : CONFIG_LOADING) |
      (matching.invalid ? INVALID_USER_DATA : 0) |
      (usesCookies(pixel) ? FIRST_PARTY_COOKIES : 0)
    );
  }

  // The config opts in, the page may still say no (PROTOCOL 2.2).
  function usesCookies(pixel) {
    return Boolean(pixel.optIns.FirstPartyCookies) && isOn("firstPartyCookies", pixel.id);
  }

  function isOn(name, id) {
    return (has(switches[name], id) ? switches[name][id] : switches[name][EVERY_PIXEL]) !== false;
  }

  // ---- What a page calls: fbq('<name>', ...)

  var METHODS = {
    init: function (id, userData, options) {
      var pixel = pixels[id] || newPixel(String(id));
      pixel.userData = userData || pixel.userData;
      settings.agent = (options && options.agent) || settings.agent;
    },
    track: trackAll,
    trackCustom: trackAll,
    trackSingle: function (id, name, data, options) {
      trackOne(id, name, data, options, SINGLE);
    },
    trackSingleCustom: function (id, name, data, options) {
      trackOne(id, name, data, options, SINGLE_CUSTOM);
    },
    consent: function (word) {
      consentRevoked = word === "revoke";
      if (!consentRevoked) {
        awaitingConsent.splice(0).forEach(function (event) {
          event.pixel.waiting.push(event);
        });
        allPixels().forEach(flush);
      }
    },
    dataProcessingOptions: function (options, country, state) {
      limitedDataUse = { dpo: [].concat(options || []).join(",") };
      if (limitedDataUse.dpo && country !== undefined) {
        limitedDataUse.dpoco = String(country);
      }
      if (limitedDataUse.dpo && state !== undefined) {
        limitedDataUse.dpost = String(state);
      }
    },
    set: function (name, value, id) {
      if (has(switches, name)) {
        switches[name][id === undefined ? EVERY_PIXEL : id] = value;
      } else {
        settings[name] = value;
      }
    }
  };

  function newPixel(id) {
    var pixel = {
      id: id,
      startedAt: Date.now(),
      eventCount: 0,
      waiting: [],
      unlocked: Boolean(fbq.disableConfigLoading),
      optIns: {}
    };
    pixels[id] = pixel;
    pixelOrder.push(id);
    if (!pixel.unlocked) {
      loadConfig(id);
    }
    return pixel;
  }

  function loadConfig(id) {
    var query = [["v", VERSION], ["r", settings.releaseSegment], ["domain", window.location.hostname]];
    var script = document.createElement("script");
    script.async = true;
    script.src = settings.cdn + "signals/config/" + encodeURIComponent(id) + "?" + asQuery(query);
    document.head.appendChild(script);
  }

  function trackAll(name, data, options) {
    allPixels().forEach(function (pixel) {
      track(pixel, name, data, options);
    });
  }

  function trackOne(id, name, data, options, method) {
    if (pixels[id]) {
      track(pixels[id], name, data, options, method);
    }
  }

  // ---- What a config calls

  var instance = {
    configLoaded: function (id) {
      if (pixels[id]) {
        pixels[id].unlocked = true;
        flush(pixels[id]);
      }
    },
    optIn: function (id, feature) {
      if (pixels[id]) {
        pixels[id].optIns[feature] = true;
      }
    }
  };

  fbq.registerPlugin = function (name, plugin) {
    plugin.plugin(fbq, instance, { set: function () {} });
  };
  fbq.loadPlugin = function () {};

  // ---- Pages that change their URL without loading (PROTOCOL 3.8)

  function noticeNavigation() {
    if (fbq.disablePushState || window.location.href === page.url) {
      return;
    }
    page = { url: window.location.href, referrer: page.url };
    allPixels().filter(function (pixel) {
      return pixel.sawPageView;
    }).forEach(function (pixel) {
      track(pixel, "PageView");
    });
  }

  ["pushState", "replaceState"].forEach(function (name) {
    var original = window.history[name];
    window.history[name] = function () {
      var result = original.apply(this, arguments);
      noticeNavigation();
      return result;
    };
  });
  window.addEventListener("popstate", noticeNavigation);

  // ---- Start: take over from the snippet's stub, then do what it was asked meanwhile

  fbq.version = VERSION;
  fbq.callMethod = function (name) {
    if (has(METHODS, name)) {
      METHODS[name].apply(null, Array.prototype.slice.call(arguments, 1));
    }
  };
  while (fbq.queue.length) {
    fbq.callMethod.apply(fbq, fbq.queue.shift());
  }
})(window, document, window.navigator);
