local db, fiber, http, json, ws = require "db", require "fiber", require "http", require "json", require "ws"
local events = require "stance.events"

describe("events", function()
  local bus

  local function write(type, job_id, data)
    assert(db.exec("INSERT INTO events (ts, type, job_id, data) VALUES (?, ?, ?, ?)", 1e9 + 0.25, type, job_id,
      data and json.encode(data)))
    bus:notify()
  end

  before_each(function()
    assert(db.exec "DELETE FROM events")
    bus = events.new(db)
    bus:start()
  end)

  after_each(function()
    bus.pump:cancel()
    bus.pump:join()
  end)

  local function types(list)
    local out = {}
    for i, event in ipairs(list) do out[i] = event.type end
    return out
  end

  it("come in order from a cursor on", function()
    local start = bus:cursor()
    for i = 1, 5 do write("t" .. i) end
    local seen, cursor = {}, start
    while #seen < 5 do
      local list
      list, cursor = bus:after(cursor, nil, 1)
      for _, event in ipairs(list) do seen[#seen + 1] = event.type end
    end
    assert.same({ "t1", "t2", "t3", "t4", "t5" }, seen)
    assert.same({ "t4", "t5" }, types((bus:after(cursor - 2, nil, 1))))
    assert.equal(cursor, bus:cursor())
  end)

  it("are JSON objects that say what, when and of which job", function()
    local start = bus:cursor()
    write("job.\"odd\"", "j\\1", { n = 1, text = "a\nb" })
    write("plain")
    fiber.sleep(0.01)
    local list = bus:after(start, nil, 1)
    local odd, plain = json.decode(list[1].text), json.decode(list[2].text)
    assert.same({ 'job."odd"', "j\\1", 1, "a\nb" }, { odd.type, odd.job_id, odd.data.n, odd.data.text })
    assert.equal(list[1].seq, odd.seq)
    assert.is_truthy(odd.ts:match "^2001%-09%-09T01:46:40%.25%d*Z$", odd.ts)
    assert.is_true(plain.job_id == nil or plain.job_id == json.null)
    assert.same({}, plain.data)
  end)

  it("wait for the next one", function()
    local start = bus:cursor()
    local reader = fiber.spawn(bus.after, bus, start, nil, 5)
    fiber.sleep(0.005)
    assert.equal("waiting", reader:status())
    write "late"
    local ok, list = reader:join(1)
    assert.is_true(ok)
    assert.same({ "late" }, types(list))
  end)

  it("give an empty list and the same cursor when nothing comes in time", function()
    local start = bus:cursor()
    assert.same({ {}, start }, { bus:after(start, nil, 0) })
    assert.same({ {}, start }, { bus:after(start, nil, 0.002) })
  end)

  it("of one job leave out the others, and still move the cursor", function()
    local start = bus:cursor()
    write("a", "one") write("b", "two") write("c", "one") write("d")
    local list, cursor = {}, start
    while #list < 2 do
      local more
      more, cursor = bus:after(cursor, "one", 1)
      for _, event in ipairs(more) do list[#list + 1] = event end
    end
    assert.same({ "a", "c" }, types(list))
    local reader = fiber.spawn(bus.after, bus, cursor, "one", 0.02)
    write("e", "two")
    local _, none, further = reader:join(1)
    assert.same({}, none)
    assert.is_true(further > cursor)
  end)

  it("wake every watcher", function()
    local readers, start = {}, bus:cursor()
    for i = 1, 50 do readers[i] = fiber.spawn(bus.after, bus, start, nil, 5) end
    write "all"
    for _, reader in ipairs(readers) do assert.same({ "all" }, types((select(2, reader:join(1))))) end
  end)

  it("older than the bus are read from the table", function()
    bus.pump:cancel()
    local start = bus:cursor()
    for i = 1, 700 do db.exec("INSERT INTO events (ts, type, job_id) VALUES (?, ?, ?)", i, "old" .. i, i % 2 == 0 and "even" or nil) end
    bus = events.new(db)
    bus:start()
    write "new"
    local function read_all(job)
      local seen, cursor = {}, start
      repeat
        local list
        list, cursor = bus:after(cursor, job, 0.1)
        assert.is_true(#list <= 500)
        for _, event in ipairs(list) do seen[#seen + 1] = event.type end
      until #list == 0
      return seen
    end
    local seen = read_all()
    assert.same({ 701, "old1", "old700", "new" }, { #seen, seen[1], seen[700], seen[701] })
    local even = read_all "even"
    assert.same({ 350, "old2", "old700" }, { #even, even[1], even[350] })
  end)

  it("beyond what the ring keeps are read from the table too", function()
    local start, rows = bus:cursor(), {}
    for i = 1, 4600 do rows[i] = { "INSERT INTO events (ts, type) VALUES (?, ?)", i, "n" .. i } end
    assert(db.transaction(rows))
    bus:notify()
    local seen, cursor = 0, start
    while seen < 4600 do
      local list
      list, cursor = bus:after(cursor, nil, 2)
      assert.is_true(#list > 0, "events are missing after " .. seen)
      for _, event in ipairs(list) do
        seen = seen + 1
        assert.equal("n" .. seen, event.type)
      end
    end
    local kept = 0
    for _ in pairs(bus.ring) do kept = kept + 1 end
    assert.is_true(kept <= 4096, kept .. " are kept in memory")
  end)

  it("miss nothing while others write at the same time", function()
    local start, wanted, seen = bus:cursor(), 300, {}
    local reader = fiber.spawn(function()
      local cursor = start
      while #seen < wanted do
        local list
        list, cursor = bus:after(cursor, nil, 2)
        for _, event in ipairs(list) do seen[#seen + 1] = event.seq end
      end
    end)
    local writers = {}
    for w = 1, 3 do
      writers[w] = fiber.spawn(function()
        for i = 1, wanted / 3 do write(("w%d.%d"):format(w, i)) end
      end)
    end
    for _, writer in ipairs(writers) do assert.is_true((writer:join())) end
    assert.is_true((reader:join(5)))
    for i = 2, wanted do assert.is_true(seen[i] > seen[i - 1]) end
  end)

  it("know the oldest that is kept", function()
    assert.is_nil(bus:oldest())
    write "a" write "b"
    local oldest = bus:oldest()
    assert(db.exec("DELETE FROM events WHERE seq = ?", oldest))
    assert.equal(oldest + 1, bus:oldest())
  end)

  context("over sockets that have joined", function()
    local server, sockets

    before_each(function()
      sockets = {}
      server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
        local name = request.path:sub(2)
        local socket = assert(request:upgrade())
        sockets[name] = socket
        socket:send "ready"
        while socket:receive() do end
      end })
    end)

    after_each(function() server:close() end)

    local function connect(name)
      local client = assert(ws.connect(("ws://%s/%s"):format(server:address(), name)))
      assert.equal("ready", (client:receive(2)))
      return client
    end

    local function next_type(client) return json.decode((assert(client:receive(2)))).type end

    it("come to each that watches all, or their job", function()
      local all, one = connect "all", connect "one"
      assert.is_true(bus:join(sockets.all, bus:cursor()))
      assert.is_true(bus:join(sockets.one, bus:cursor(), "j1"))
      write("a", "j1") write("b", "j2") write("c") write("d", "j1")
      for _, wanted in ipairs { "a", "b", "c", "d" } do assert.equal(wanted, next_type(all)) end
      for _, wanted in ipairs { "a", "d" } do assert.equal(wanted, next_type(one)) end
    end)

    it("need a cursor that is the newest", function()
      connect "late"
      local start = bus:cursor()
      write "a"
      assert.equal("a", bus:after(start, nil, 1)[1].type)
      assert.is_false(bus:join(sockets.late, start))
      assert.is_false(bus:join(sockets.late, bus:cursor() + 1))
      assert.is_true(bus:join(sockets.late, bus:cursor()))
    end)

    it("forget jobs that nobody watches any more", function()
      local client = connect "gone"
      bus:join(sockets.gone, bus:cursor(), "j1")
      client:close()
      client:receive(2)
      connect "other"
      bus:join(sockets.other, bus:cursor(), "j2")
      local names = {}
      for name in pairs(bus.groups) do names[#names + 1] = name end
      assert.same({ "j2" }, names)
    end)
  end)
end)
