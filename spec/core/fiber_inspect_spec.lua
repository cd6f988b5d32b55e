local fiber = require "fiber"

--- What fiber.inspect tells of the fiber of this name.
local function look(name, options)
  for _, one in ipairs(fiber.inspect(options)) do if one.name == name then return one end end
end

local function spawn(name, fn)
  local one = fiber.spawn(fn)
  one:name(name)
  fiber.yield()
  return one
end

local function stop(one)
  one:cancel()
  one:join()
end

describe("fiber.inspect", function()
  local channel = fiber.channel()
  local waits = {
    sleep = function() fiber.sleep(5) end,
    get = function() channel:get() end,
    ["get, called by pcall"] = function() pcall(channel.get, channel) end,
    select = function() fiber.select { channel } end,
  }
  for name, wait in pairs(waits) do
    it("tells who waits in " .. name .. ", and where", function()
      local one = spawn(name, wait)
      local view = look(name)
      stop(one)
      assert.equal("waiting", view.status)
      assert.equal(name:match "%a+", view.call)
      assert.matches("fiber_inspect_spec.lua:%d+$", view.where)
      assert.is_true(view.age >= view.since and view.since >= 0)
    end)
  end

  it("tells of one that has not begun where its function is", function()
    local one = fiber.spawn(function() end)
    one:name "fresh"
    local view = look "fresh"
    one:join()
    assert.equal("ready", view.status)
    assert.is_nil(view.call)
    assert.matches("fiber_inspect_spec.lua:%d+$", view.where)
  end)

  it("tells of the one that asks", function()
    local view
    fiber.spawn(function()
      fiber.self():name "asker"
      view = look "asker"
    end):join()
    assert.equal("running", view.status)
    assert.is_nil(view.call)
  end)

  it("forgets those that are over", function()
    spawn("short", function() end):join()
    assert.is_nil(look "short")
  end)

  it("brings tracebacks when asked", function()
    local one = spawn("deep", function() channel:get() end)
    assert.matches("fiber_inspect_spec.lua:%d+: in function", look("deep", { traceback = true }).traceback)
    assert.is_nil(look("deep").traceback)
    stop(one)
  end)

  it("tells whom a fiber works for, and those that it spawns", function()
    local child
    local one = spawn("worker", function()
      fiber.self():job "j1"
      fiber.self():request "r1"
      fiber.self():trace "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      child = spawn("child", function() channel:get() end)
      channel:get()
    end)
    fiber.yield()
    for _, name in ipairs { "worker", "child" } do
      local view = look(name)
      assert.same({ "j1", "r1", "0af7651916cd43dd8448eb211c80319c" }, { view.job, view.request, view.trace })
    end
    stop(one)
    stop(child)
  end)

  for _, wrong in ipairs { "", "x", "00-zz" } do
    it("knows no trace of '" .. wrong .. "'", function() assert.equal("", fiber.self():trace(wrong)) end)
  end
end)
