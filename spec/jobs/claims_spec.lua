local fiber = require "fiber"
local claims = require "stance.claims"
local err = require "stance.err"

describe("claims", function()
  local pending, looks, rooms, gone, due, failure, slow, line

  before_each(function()
    pending, looks, rooms, gone, due, failure, slow = {}, {}, nil, {}, nil, nil, false
    local queue = {}
    function queue.next_due() return due end
    function queue.claim(_, request)
      looks[#looks + 1] = request.worker
      if slow then fiber.sleep(0.005) end
      if failure then return nil, failure end
      local jobs, without = {}, {}
      for _, job_type in ipairs(request.without) do without[job_type] = true end
      for i, job in ipairs { unpack(pending) } do
        if #jobs < request.limit and job.generation == request.generation and not without[job.type] then
          jobs[#jobs + 1] = job
          pending[i] = false
        end
      end
      local left = {}
      for _, job in ipairs(pending) do if job then left[#left + 1] = job end end
      pending = left
      return jobs
    end
    line = claims.new { queue = queue, clock = function() return 0 end, lease = 30, rooms = function() return rooms end }
  end)

  local function add(count, fields)
    fields = fields or {}
    for _ = 1, count do pending[#pending + 1] = { type = fields.type or "t", generation = fields.generation or "g" } end
    line:notify()
  end

  local function ask(worker, limit, wait, generation)
    return fiber.spawn(function()
      local jobs, why = line:ask(worker, { generation = generation or "g", limit = limit or 4, wait = wait or 5 },
        function() return not gone[worker] end)
      return jobs and #jobs, why
    end)
  end

  local function result(task)
    local ok, count, why = task:join(1)
    assert.is_true(ok, tostring(count))
    return count, why
  end

  local function settle() for _ = 1, 10 do fiber.sleep(0) end end

  it("come at once when there are jobs", function()
    add(3)
    assert.equal(3, result(ask "a"))
  end)

  it("come as soon as there are jobs, to one worker and by one look", function()
    local first, second = ask("a", 4), ask("b", 4)
    settle()
    assert.same({ "a" }, looks)
    add(2)
    assert.equal(2, result(first))
    settle()
    assert.same({ "a", "a" }, looks)
    assert.equal("waiting", second:status())
    add(1)
    assert.equal(1, result(second))
  end)

  it("go on to the next worker while there may be more", function()
    local tasks = { ask("a", 2), ask("b", 2), ask("c", 2) }
    settle()
    add(3)
    assert.same({ 2, 1 }, { result(tasks[1]), (result(tasks[2])) })
    settle()
    assert.same({ "a", "a", "b" }, looks)
    gone.c = true
    line:notify()
    assert.equal(0, result(tasks[3]))
  end)

  it("come to the worker with the most room first", function()
    local busy, idle = ask("busy", 1), ask("idle", 4)
    settle()
    add(2)
    assert.equal(2, result(idle))
    assert.equal("waiting", busy:status())
    busy:cancel()
  end)

  it("miss nothing that comes while the queue is looked at", function()
    slow = true
    local task = ask "a"
    settle()
    assert.same({ "a" }, looks)
    add(1)
    assert.equal(1, result(task))
  end)

  it("are an empty list when the time is up, and lose none that are on their way", function()
    assert.equal(0, result(ask("a", 4, 0.002)))
    slow = true
    local task = ask("a", 4, 0.002)
    settle()
    add(1)
    local got = result(task)
    slow = false
    assert.equal(1, got + result(ask("b", 4, 0)) + #pending)
  end)

  it("of one generation are not for workers of another", function()
    local old = ask("old", 4, 5, "old")
    settle()
    add(1)
    settle()
    assert.equal("waiting", old:status())
    assert.equal(1, result(ask("new", 4, 5, "g")))
    add(1, { generation = "old" })
    assert.equal(1, result(old))
  end)

  it("are not given to a worker that is gone", function()
    local task = ask "a"
    settle()
    gone.a = true
    add(1)
    assert.equal(0, result(task))
    assert.equal(1, #pending)
  end)

  it("of a type with little room leave the rest to other types", function()
    rooms = { t = 1, full = 0 }
    add(3)
    add(5, { type = "u" })
    add(1, { type = "full" })
    assert.equal(4, result(ask("a", 4)))
    local left = {}
    for _, job in ipairs(pending) do left[job.type] = (left[job.type] or 0) + 1 end
    assert.same({ t = 2, u = 2, full = 1 }, left)
  end)

  it("keep to the room of their type", function()
    rooms = { t = 2 }
    add(5)
    assert.equal(2, result(ask("a", 4)))
    rooms = { t = 0 }
    add(1, { type = "u" })
    assert.equal(1, result(ask("a", 4)))
    assert.equal(3, #pending)
  end)

  it("come when a job comes due", function()
    due = 0.002
    local task = ask "a"
    settle()
    pending = { { type = "t", generation = "g" } }
    assert.equal(1, result(task))
  end)

  it("tell why the queue cannot be looked at, and go on", function()
    failure = err("io", "the disk is gone")
    local count, why = result(ask "a")
    assert.is_nil(count)
    assert.equal("io", why.code)
    failure = nil
    add(1)
    assert.equal(1, result(ask "a"))
  end)
end)
