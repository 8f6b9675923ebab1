-- Hits as the pixel sends them, each with an id of its own. wrk … -- connection [cookies [before]]
-- `connection`: what the Connection header says: keep-alive or close. `cookies`: a file of customers' cookies, of which
-- each hit has another. `before`: how many hits there were already, of which this goes on.

local began, run = os.time() * 1000, tostring(os.time()) .. tostring({}):sub(-6)
local count, connection, cookies = 0, "keep-alive", { "session=4f1c9a7e2b" }

local query = "&rl=https%3A%2F%2Fwww.shop.example%2Fcheckout&if=false&cd[value]=129.90&cd[currency]=EUR"
  .. "&cd[content_ids]=%5B%22SKU-1001%22%2C%22SKU-2044%22%5D&cd[content_type]=product&cd[num_items]=2"
  .. "&ud[em]=0c7e6a405862e402eb76a70f8a26fc732d07c32931e9fae9ab1582911d2e8a3b&sw=1920&sh=1080&v=2.9.180&r=stable"
  .. "&ec=1&o=4126&cdl=API_unavailable&rqm=GET&ts=" .. began .. "&it=" .. began
local page = "https%3A%2F%2Fwww.shop.example%2Fcheckout%2Fthank-you%3Futm_source%3Dnewsletter%26utm_medium%3Demail"
  .. "%26utm_campaign%3Dautumn-sale%26order%3D"
local headers = {
  "",
  "Host: px.shop.example",
  "sec-ch-ua-platform: \"Windows\"",
  "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
    .. " Safari/537.36",
  "sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"",
  "sec-ch-ua-mobile: ?0",
  "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
  "Sec-Fetch-Site: same-site",
  "Sec-Fetch-Mode: no-cors",
  "Sec-Fetch-Dest: image",
  "Referer: https://www.shop.example/",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
  "Connection: ",
}

function init(args)
  if args[2] then
    cookies = {}
    for line in io.lines(args[2]) do
      cookies[#cookies + 1] = line
    end
  end
  count = tonumber(args[3] or 0)
  headers = " HTTP/1.1" .. table.concat(headers, "\r\n") .. (args[1] or connection)
end

function request()
  count = count + 1
  local browser = "fb.1." .. began .. "." .. 395508000000 + count
  local address = "84." .. math.floor(count / 62500) % 250 .. "." .. math.floor(count / 250) % 250 .. "." .. count % 250
  return "GET /tr/?id=1234567890123456&ev=Purchase&dl=" .. page .. count .. query .. "&eid=" .. run .. "." .. count
    .. "&fbp=" .. browser .. headers .. "\r\nCookie: _fbp=" .. browser .. "; consent=1; " .. cookies[count * 7919 % #cookies + 1]
    .. "\r\nX-Forwarded-For: " .. address .. "\r\n\r\n"
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "RESULT %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
