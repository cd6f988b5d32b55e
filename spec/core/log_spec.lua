local fiber, json, log = require "fiber", require "json", require "log"
local captured = require "spec.core.captured_log"

local function line_of(fn)
  local lines = captured(fn)
  assert.equal(1, #lines)
  return lines[1]
end

describe("log", function()
  it("writes level, service, message and fields", function()
    local line = line_of(function() log.named("jobs").warn("slow", { seconds = 4.25, path = "a\nb", ok = true }) end)
    assert.equal("warn", line.level)
    assert.equal("jobs", line.service)
    assert.equal("slow", line.message)
    assert.equal(4.25, line.seconds)
    assert.equal("a\nb", line.path)
    assert.is_true(line.ok)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", line.ts)
  end)

  it("has a function a level", function()
    local lines = captured(function()
      for _, level in ipairs { "debug", "info", "warn", "error" } do log[level]("x") end
    end)
    local levels = {}
    for i, line in ipairs(lines) do levels[i] = line.level end
    assert.same({ "debug", "info", "warn", "error" }, levels)
  end)

  it("bears the vm's name unless it is given one", function()
    assert.equal("spec", line_of(function() log.info "x" end).service)
  end)

  it("writes any value as well as it can", function()
    local line = line_of(function()
      log.info("x", {
        list = { 1, "two", { three = 3 } }, nan = 0 / 0, huge = math.huge, whole = 2 ^ 53, fn = print,
        odd = { print }, err = setmetatable({ code = "gone" }, { __tostring = function(e) return "it is " .. e.code end }),
        null = json.null,
      })
    end)
    assert.same({ 1, "two", { three = 3 } }, line.list)
    assert.equal("NaN", line.nan)
    assert.equal("+Inf", line.huge)
    assert.equal(2 ^ 53, line.whole)
    assert.equal("(function)", line.fn)
    assert.equal("(table)", line.odd)
    assert.equal("it is gone", line.err)
  end)

  it("takes an error as its message", function()
    local _, why = require("host").script "nowhere.lua"
    assert.equal(tostring(why), line_of(function() log.error(why) end).message)
  end)

  it("takes the ids of the running fiber, unless fields give others", function()
    local lines = captured(function()
      fiber.spawn(function()
        fiber.self():request "r-1"
        fiber.self():job "j-1"
        log.info "x"
        log.info("x", { jobId = "j-2" })
      end):join()
      log.info "x"
    end)
    assert.same({ "r-1", "j-1" }, { lines[1].requestId, lines[1].jobId })
    assert.same({ "r-1", "j-2" }, { lines[2].requestId, lines[2].jobId })
    assert.is_nil(lines[3].requestId)
  end)

  it("fixes fields, which the line's own go over", function()
    local worker = log.with({ worker = 3, color = "red" }).named("w").with { color = "green" }
    local lines = captured(function()
      worker.info "x"
      worker.info("x", { color = "blue" })
    end)
    assert.same({ 3, "green", "w" }, { lines[1].worker, lines[1].color, lines[1].service })
    assert.same({ 3, "blue" }, { lines[2].worker, lines[2].color })
  end)

  it("says what is enabled", function()
    assert.is_false(log.enabled "info")
    captured(function() assert.is_true(log.enabled "debug") end)
    assert.has_error(function() log.enabled "loud" end)
  end)

  it("stays JSON with whatever bytes it gets", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local line = line_of(function() log.info(table.concat(bytes, "", 2), { [table.concat(bytes, "", 2, 40)] = 1 }) end)
    assert.matches("^\1\2", line.message)
    assert.is_true(line_of(function() log.info(("x"):rep(9000)) end).truncated)
  end)

  it("raises for misuse", function()
    local many = {}
    for i = 1, 33 do many["f" .. i] = i end
    captured(function()
      assert.has_error(function() log.info() end)
      assert.has_error(function() log.info(nil) end)
      assert.has_error(function() log.info {} end)
      assert.has_error(function() log.info("x", "y") end)
      assert.has_error(function() log.info("x", { "no name" }) end, "a log field needs a name, not a number")
      assert.has_error(function() log.info("x", many) end, "more than 32 log fields")
      assert.has_error(function() log.with() end)
      assert.has_error(function() log.with { 1 } end)
      assert.has_error(function() log.named() end)
    end)
  end)

  it("can be followed, also at levels that are not written", function()
    local tail = log.follow "debug"
    log.named("here").debug("quiet", { a = 1 })
    log.named("here").debug "again"
    assert.matches("DEBUG here: quiet  a=1\n[^\n]*again\n$", tail:get())
    local waiting = fiber.spawn(function() return tail:get() end)
    fiber.yield()
    log.debug "came later"
    local _, text = waiting:join()
    assert.matches("came later", text)
    assert.is_true(log.enabled "debug")
    for i = 1, 1200 do log.debug(("line %d"):format(i)) end
    assert.matches("line 1000\n%(200 lines came too fast", tail:get())
    tail:close()
    assert.is_false(log.enabled "debug")
    assert.has_error(function() tail:get() end)
    local none, why = log.follow "loud"
    assert.is_nil(none)
    assert.matches("'loud' is no level", why.message)
  end)

  it("tells a fiber that waits for lines when another one closes the tail", function()
    local tail = log.follow "debug"
    local waiting = fiber.spawn(function() return tail:get() end)
    fiber.yield()
    log.debug "on its way"
    tail:close()
    tail = nil
    collectgarbage()
    local ended, lines, why = waiting:join()
    assert.same({ true, nil, "closed" }, { ended, lines, why.code })
  end)
end)
