local fiber, http, json = require "fiber", require "http", require "json"

local server

local function serve(handler, options)
  options = options or {}
  options.listen, options.handler = "127.0.0.1:0", handler
  server = assert(http.serve(options))
  return server:url()
end

describe("http", function()
  after_each(function()
    if server then server:close() end
    server = nil
  end)

  describe("requests", function()
    it("tell what was asked", function()
      local url = serve(function(request)
        return 200, { method = request.method, path = request.path, query = request.query, version = request.version,
          agent = request.headers["user-agent"], twice = request.headers["x-two"] }
      end)
      local answer = assert(http.request {
        method = "PUT", url = url .. "/a%20b?x=1&x=2&y=a+b%21&z", headers = { ["X-Two"] = "1", ["User-Agent"] = "spec" },
      })
      assert.same({
        method = "PUT", path = "/a%20b", query = { x = { "1", "2" }, y = "a b!", z = "" }, version = "1.1", agent = "spec", twice = "1",
      }, json.decode(answer.body))
    end)

    it("keep the client's request id and trace, or get new ones", function()
      local url = serve(function(request) return 200, request.id .. " " .. request.traceparent end)
      local trace = "4bf92f3577b34da6a3ce929d0e0e4736"
      local answer = assert(http.get(url, { headers = { traceparent = "00-" .. trace .. "-00f067aa0ba902b7-01" } }))
      assert.equal(trace, answer.headers["x-request-id"])
      assert.truthy(answer.body:match("^" .. trace .. " 00%-" .. trace .. "%-%x+%-01$"))
      assert.falsy(answer.body:find("00f067aa0ba902b7", 1, true))
      answer = assert(http.get(url, { headers = { ["X-Request-Id"] = "order-17" } }))
      assert.equal("order-17", answer.headers["x-request-id"])
      answer = assert(http.get(url, { headers = { ["X-Request-Id"] = "no spaces" } }))
      assert.equal(32, #answer.headers["x-request-id"])
    end)

    it("bring their body whole", function()
      local url = serve(function(request) return 200, assert(request:body()) end)
      assert.equal("hello", assert(http.post(url, "hello")).body)
      local large = ("0123456789"):rep(300000)
      assert.equal(large, assert(http.post(url, large)).body)
      assert.equal("", assert(http.get(url)).body)
    end)

    it("bring their body in pieces", function()
      local url = serve(function(request)
        local pieces, size = 0, 0
        for piece in function() return request:read(1000) end do
          assert(#piece <= 1000)
          pieces, size = pieces + 1, size + #piece
        end
        return 200, { pieces = pieces, size = size }
      end)
      local got = json.decode(assert(http.post(url, ("x"):rep(1000000))).body)
      assert.equal(1000000, got.size)
      assert.is_true(got.pieces >= 1000)
    end)

    it("refuse a body above the handler's limit", function()
      local url = serve(function(request)
        local body, why = request:body(10)
        return 200, body or why.code
      end)
      assert.equal("0123456789", assert(http.post(url, "0123456789")).body)
      assert.equal("too_large", assert(http.post(url, "0123456789a")).body)
    end)

    it("that are given up leave nothing behind", function()
      local handlers = 0
      local url = serve(function(request)
        handlers = handlers + 1
        return 200, assert(request:body(64 * 1024 * 1024))
      end)
      local size = 32 * 1024 * 1024 -- ten of them are more than all requests may hold
      for i = 1, 10 do
        local task = fiber.spawn(function()
          return http.request { method = "POST", url = url, body = ("x"):rep(size), headers = { ["Content-Length"] = tostring(size + 1) },
            timeout = 0.3 }
        end)
        task:join()
        assert.equal(i, handlers)
      end
      local answer = assert(http.post(url, "there is room"))
      assert.same({ 200, "there is room" }, { answer.status, answer.body })
    end)

    it("refuse a body above the server's limit", function()
      local url = serve(function(request) return 200, request:body() end, { body_limit = 100 })
      local answer = assert(http.post(url, ("x"):rep(101)))
      assert.equal(413, answer.status)
      assert.equal("application/problem+json", answer.headers["content-type"])
    end)
  end)

  describe("answers", function()
    it("may be nothing, text, JSON", function()
      local url = serve(function(request)
        if request.path == "/nothing" then return 204 end
        if request.path == "/text" then return 200, "text" end
        return 201, { list = json.array {}, n = 17 }, { Location = "/x", ["Set-Cookie"] = { "a=1", "b=2" } }
      end)
      local answer = assert(http.get(url .. "/nothing"))
      assert.same({ 204, "" }, { answer.status, answer.body })
      answer = assert(http.get(url .. "/text"))
      assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
      answer = assert(http.get(url))
      assert.same({ 201, "/x", "a=1, b=2" }, { answer.status, answer.headers.location, answer.headers["set-cookie"] })
      assert.same({ list = {}, n = 17 }, json.decode(answer.body))
      assert.truthy(answer.body:find('"list":[]', 1, true))
      assert.equal("nosniff", answer.headers["x-content-type-options"])
      assert.falsy(answer.headers.server)
      assert.truthy(answer.headers.date)
    end)

    it("to HEAD have no body but its length", function()
      local url = serve(function() return 200, "12345" end)
      local answer = assert(http.request { method = "HEAD", url = url })
      assert.same({ "5", "" }, { answer.headers["content-length"], answer.body })
    end)

    it("may be streamed, as slowly as the client reads", function()
      local written = 0
      local url = serve(function()
        return 200, function(writer)
          for _ = 1, 400 do
            assert(writer:write(("x"):rep(65536)))
            written = written + 1
          end
        end
      end)
      local answer = assert(http.request { url = url, stream = true })
      fiber.sleep(0.2)
      assert.is_true(written < 300, "the server wrote on, though nobody read")
      local size = 0
      for piece in function() return answer:read() end do size = size + #piece end
      assert.equal(400 * 65536, size)
    end)

    it("may be open files, also in parts", function()
      local objects = require "objects"
      local hash = assert(objects.put(("0123456789"):rep(100000))).hash
      local file
      local url = serve(function()
        file = assert(objects.open(hash))
        return 200, file, { ["Content-Type"] = "image/png", ETag = '"' .. hash .. '"' }
      end)
      local answer = assert(http.get(url))
      assert.same({ 1000000, "image/png" }, { #answer.body, answer.headers["content-type"] })
      answer = assert(http.get(url, { headers = { Range = "bytes=999995-" } }))
      assert.same({ 206, "56789", "bytes 999995-999999/1000000" }, { answer.status, answer.body, answer.headers["content-range"] })
      answer = assert(http.get(url, { headers = { ["If-None-Match"] = '"' .. hash .. '"' } }))
      assert.same({ 304, "" }, { answer.status, answer.body })
    end)

    it("that fail midway are cut", function()
      local url = serve(function()
        return 200, function(writer)
          writer:write("some")
          error({ code = "cancelled", message = "quiet" })
        end
      end)
      local answer, why = http.get(url)
      assert.is_nil(answer)
      assert.equal("upstream", why.code)
    end)

    it("of a failing handler are a 500 that tells nothing", function()
      local log = require "log"
      local url = serve(function() error({ code = "internal", message = "secret" }) end)
      assert(log)
      local answer = assert(http.get(url))
      assert.equal(500, answer.status)
      assert.falsy(answer.body:find("secret", 1, true))
      assert.equal(json.decode(answer.body).requestId, answer.headers["x-request-id"])
    end)

    it("with a line break in a header are a 500", function()
      local url = serve(function() return 200, "x", { ["X-A"] = "a\r\nSet-Cookie: b" } end)
      assert.equal(500, assert(http.get(url)).status)
    end)

    it("come late: 504", function()
      local cancelled
      local url = serve(function()
        local ok, why = pcall(fiber.sleep, 5)
        cancelled = not ok and why.code
      end, { handler_timeout = 0.1 })
      assert.equal(504, assert(http.get(url)).status)
      fiber.sleep(0.02)
      assert.equal("cancelled", cancelled)
    end)
  end)

  it("serves a folder, and leaves the rest to the handler", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir -p " .. folder .. "/sub && echo page >" .. folder .. "/index.html && echo 'a b' >" .. folder .. "/sub/a%b.txt")
    local url = serve(function(request) return 200, "handler " .. request.path end,
      { static = { folder = folder, except = "/api/", cache = "max-age=60" } })
    assert.equal("page\n", assert(http.get(url)).body)
    local answer = assert(http.get(url .. "/sub/a%25b.txt"))
    assert.same({ "a b\n", "max-age=60" }, { answer.body, answer.headers["cache-control"] })
    assert.equal(304, assert(http.get(url .. "/sub/a%25b.txt", { headers = { ["If-None-Match"] = answer.headers.etag } })).status)
    assert.equal("handler /none", assert(http.get(url .. "/none")).body)
    assert.equal("handler /", assert(http.post(url .. "/", "x")).body)
    os.execute("mkdir " .. folder .. "/api && echo x >" .. folder .. "/api/x")
    assert.equal("handler /api/x", assert(http.get(url .. "/api/x")).body)
    os.execute("rm -r " .. folder)
  end)

  it("cancels the handler of a client that is gone", function()
    local over
    local url = serve(function()
      local ok, why = pcall(fiber.sleep, 10)
      over = not ok and why.code
    end)
    local task = fiber.spawn(function() return http.get(url) end)
    fiber.sleep(0.1)
    task:cancel()
    fiber.sleep(0.1)
    assert.equal("cancelled", over)
  end)

  it("runs many requests side by side", function()
    local running, most = 0, 0
    local url = serve(function()
      running = running + 1
      most = math.max(most, running)
      fiber.sleep(0.1)
      running = running - 1
      return 200, "ok"
    end)
    local tasks = {}
    for i = 1, 50 do tasks[i] = fiber.spawn(function() return assert(http.get(url)).body end) end
    for _, task in ipairs(tasks) do
      local ok, body = task:join()
      assert.is_true(ok)
      assert.equal("ok", body)
    end
    assert.is_true(most > 20)
  end)

  it("closes in the middle of a request", function()
    local url = serve(function()
      server:close()
      fiber.sleep(0.01)
      return 200, "never"
    end)
    assert.is_nil((http.get(url)))
    assert.equal(0, server:connections())
  end)

  it("says what is wrong with options", function()
    assert.error(function() http.serve { listen = "127.0.0.1:0" } end)
    local _, why = http.serve { listen = "nowhere", handler = function() end }
    assert.equal("invalid", why.code)
    serve(function() end)
    _, why = http.serve { listen = server:address(), handler = function() end }
    assert.truthy(tostring(why):find("cannot listen on " .. server:address(), 1, true))
  end)

  describe("client", function()
    it("posts tables as JSON", function()
      local url = serve(function(request) return 200, request.headers["content-type"] .. " " .. request:body() end)
      assert.equal('application/json {"a":1}', assert(http.post(url, { a = 1 })).body)
    end)

    it("says what went wrong", function()
      local _, why = http.get("http://127.0.0.1:1/")
      assert.equal("upstream", why.code)
      _, why = http.get("ftp://127.0.0.1/")
      assert.equal("invalid", why.code)
      local url = serve(function() fiber.sleep(2) return 200 end)
      _, why = http.get(url, { timeout = 0.1 })
      assert.equal("timeout", why.code)
    end)

    it("stops at max_size", function()
      local url = serve(function() return 200, ("x"):rep(2000) end)
      local _, why = http.get(url, { max_size = 1000 })
      assert.equal("too_large", why.code)
    end)

    it("follows redirects only when asked", function()
      local url = serve(function(request)
        if request.path == "/there" then return 200, "there" end
        return 302, nil, { Location = "/there" }
      end)
      assert.equal(302, assert(http.get(url)).status)
      assert.equal("there", assert(http.get(url, { redirects = 2 })).body)
    end)
  end)
end)
