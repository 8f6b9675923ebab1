-- Hits as the pixel sends them, each with an id of its own. wrk … -- connection
-- `connection`: what the Connection header says: keep-alive or close.

local began, run = os.time() * 1000, tostring(os.time()) .. tostring({}):sub(-6)
local count, head, tail = 0, "", ""

function init(args)
  local query = "id=1234567890123456&ev=Purchase&dl=https%3A%2F%2Fwww.shop.example%2Fcheckout%2Fthank-you%3Futm_source%3D"
    .. "newsletter%26utm_medium%3Demail%26utm_campaign%3Dautumn-sale&rl=https%3A%2F%2Fwww.shop.example%2Fcheckout&if="
    .. "false&cd[value]=129.90&cd[currency]=EUR&cd[content_ids]=%5B%22SKU-1001%22%2C%22SKU-2044%22%5D&cd[content_type]="
    .. "product&cd[num_items]=2&ud[em]=0c7e6a405862e402eb76a70f8a26fc732d07c32931e9fae9ab1582911d2e8a3b&sw=1920&sh=1080"
    .. "&v=2.9.180&r=stable&ec=1&o=4126&fbp=fb.1.1795461138686.395508372341&cdl=API_unavailable&rqm=GET"
  head = "GET /tr/?" .. query .. "&ts=" .. began .. "&it=" .. began .. "&eid=" .. run .. "."
  tail = " HTTP/1.1\r\n" .. table.concat({
    "Host: px.shop.example",
    "Connection: " .. (args[1] or "keep-alive"),
    "sec-ch-ua-platform: \"Windows\"",
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"",
    "sec-ch-ua-mobile: ?0",
    "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Mode: no-cors",
    "Sec-Fetch-Dest: image",
    "Referer: https://www.shop.example/",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "Cookie: _fbp=fb.1.1795461138686.395508372341; session=4f1c9a7e2b; consent=1",
    "X-Forwarded-For: 203.0.113.77",
    "",
    "",
  }, "\r\n")
end

function request()
  count = count + 1
  return head .. count .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "RESULT %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
