local fiber, json = require "fiber", require "json"
local err, tool = require "stance.err", require "stance.pose.tool"

--- Stands in for the module `pose`: a picture's bytes say what is found in it ("2" people, "wait", or why it fails).
local function fake_pose(log)
  local function look(text)
    local waits = text:match "^wait (%d+)"
    if waits then fiber.sleep(tonumber(waits) / 1000) end
    if text:find "busy" and not log.was_busy then
      log.was_busy = true
      return nil, err("busy", "512 pictures wait already")
    end
    if text:find "bad" then return nil, err("corrupt", "the picture is broken") end
    local people = json.array {}
    for i = 1, tonumber(text:match "(%d)$") or 0 do people[i] = { id = i, score = 0.9, landmarks = {}, world = {} } end
    return { schema = "pose_v1", image = { width = 4, height = 2 }, people = people }
  end
  return {
    engine = function(options)
      log.engine = options
      if options.model == "heavy" then return nil, err("not_found", "there is no model heavy; run make models") end
      return {
        detect = function(_, bytes) return look(bytes) end,
        info = function() return { backend = "fake" } end,
        track = function()
          local pushed = 0
          return {
            push = function(_, picture, at)
              pushed = pushed + 1
              local found, why = look(picture.text)
              if found then found.seq, found.t_capture_ms, found.reset = pushed, at * 1000, picture.reset end
              return found, why
            end,
            close = function() log.closed = (log.closed or 0) + 1 end,
          }
        end,
      }
    end,
  }
end

--- Stands in for `video`: a film of these frames.
local function fake_video(frames, log)
  return {
    open = function(_, options)
      log.every = options.every
      local at = 0
      return {
        read = function()
          at = at + 1
          local frame = frames[at]
          if not frame then return nil, frames.err end
          return { text = frame, reset = at == frames.reset or nil, close = function() end }, (at - 1) / 10
        end,
        close = function() log.film_closed = true end,
      }
    end,
  }
end

describe("stance pose", function()
  local folder, log

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
  end

  before_each(function()
    folder, log = os.tmpname(), {}
    os.remove(folder)
    os.execute("mkdir " .. folder)
  end)

  after_each(function() os.execute("rm -r " .. folder) end)

  --- -> result, what went to standard output and error
  local function run(names, more, frames)
    local operands, out, talk = {}, {}, {}
    for i, name in ipairs(names) do operands[i] = { name = name, path = name == "." and folder or folder .. "/" .. name } end
    local request = { operands = operands, engine = { model = "full", people = 1 }, every = 1, at_once = 4 }
    for key, value in pairs(more or {}) do request[key] = value end
    local result = tool.estimate(request, { pose = fake_pose(log), video = fake_video(frames or {}, log),
      out = function(text)
        if more and more.reader_gone then error(err("closed_output", "gone"), 0) end
        out[#out + 1] = text
      end, talk = function(text) talk[#talk + 1] = text end })
    return result, table.concat(out), table.concat(talk)
  end

  it("tells of each picture in their order, however long each takes, and sums up", function()
    write("a.jpg", "wait 30 people 2")
    write("b.jpg", "people 0")
    write("c.png", "people 1")
    local result, out, talk = run { "." }
    assert.same({ code = "ok" }, result)
    assert.is_truthy(out:find("^./a.jpg: 2 people  0.90\n./b.jpg: 0 people\n./c.png: 1 person  0.90\n3 pictures, people in 2: "), out)
    assert.is_truthy(out:find(": %d+%.%d ms each %(full, fake%)\n$"), out)
    assert.equal("", talk)
  end)

  it("writes a line of pose_v1 a picture, and the sum to standard error", function()
    write("b.jpg", "people 1")
    write("a.jpg", "wait 20 people 0")
    local _, out, talk = run({ "b.jpg", "a.jpg" }, { json = "out" })
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = json.decode(line) end
    assert.same({ 2, "pose_v1", "b.jpg", 1, 1 }, { #lines, lines[1].schema, lines[1].file, lines[1].seq, #lines[1].people })
    assert.same({ "a.jpg", 2 }, { lines[2].file, lines[2].seq })
    assert.is_truthy(talk:find "^2 pictures, people in 1: ")
  end)

  it("says which file failed, and why, and goes on", function()
    write("a.jpg", "bad")
    write("b.jpg", "people 1")
    local result, out, talk = run { "a.jpg", "missing.jpg", "b.jpg" }
    assert.equal("failed", result.code)
    assert.is_truthy(talk:find("stance: a.jpg: the picture is broken\n", 1, true), talk)
    assert.is_truthy(talk:find("stance: missing.jpg: ", 1, true), talk)
    assert.is_truthy(out:find("^b.jpg: 1 person"), out)
    assert.is_truthy(out:find("; 2 failed\n$"), out)
  end)

  it("asks again where too many wait", function()
    write("a.jpg", "busy, people 1")
    local result, out = run { "a.jpg" }
    assert.same({ code = "ok" }, result)
    assert.is_truthy(out:find("^a.jpg: 1 person"), out)
    log.was_busy = nil
    write("a.mp4", "")
    result, out = run({ "a.mp4" }, nil, { "people 1", "busy, people 1" })
    assert.same({ code = "ok" }, result)
    assert.is_truthy(out:find("^a.mp4: 2 frames, somebody in 2\n"), out)
  end)

  it("says that there is nothing to look at", function()
    write("notes.txt", "")
    local result = run { "." }
    assert.same({ "not_found", "there are no pictures and no films in . (1 file of other kinds)" }, { result.code, result.message })
    assert.equal("there are no pictures and no films in .", (run({ "." }, {}, {})).message:gsub(" %(.*", ""))
  end)

  it("does not start an engine when no file is there", function()
    assert.equal("failed", run({ "missing.jpg" }).code)
    assert.is_nil(log.engine)
  end)

  it("ends with the engine's reason when there is no model", function()
    write("a.jpg", "people 1")
    local result = run({ "a.jpg" }, { engine = { model = "heavy" } })
    assert.same({ "not_found", "there is no model heavy; run make models" }, { result.code, result.message })
  end)

  it("follows films, with the times of their frames", function()
    write("walk.mp4", "")
    local result, out = run({ "walk.mp4" }, { json = "out", every = 3 }, { "1", "0", "1" })
    assert.equal("ok", result.code)
    local last
    for line in out:gmatch "[^\n]+" do last = json.decode(line) end
    assert.same({ "walk.mp4", 3, 200 }, { last.file, last.seq, last.t_capture_ms })
    assert.same({ 3, 1, true }, { log.every, log.closed, log.film_closed })
    assert.is_truthy(select(2, run({ "walk.mp4" }, {}, { "1", "0", "1" })):find "^walk.mp4: 3 frames, somebody in 2\n3 pictures")
  end)

  it("gives a film up that breaks off, and says so", function()
    write("walk.mp4", "")
    local result, _, talk = run({ "walk.mp4" }, {}, { "1", "1", err = err("corrupt", "%s/walk.mp4: moov atom not found", folder) })
    assert.equal("failed", result.code)
    assert.is_truthy(talk:find("stance: walk.mp4: moov atom not found", 1, true), talk)
    assert.is_true(log.film_closed)
    assert.equal(1, log.closed)
  end)

  it("says what is neither picture nor film", function()
    write("notes.txt", "")
    local _, out, talk = run({ "notes.txt" }, {}, { err = err("corrupt", "Invalid data") })
    assert.equal("stance: notes.txt: it is no picture (JPEG, PNG, WebP), and ffmpeg finds no film in it\n", talk)
    assert.equal("", out)
  end)

  it("tells of people who were followed anew", function()
    write("walk.mp4", "")
    local _, _, talk = run({ "walk.mp4" }, {}, { "1", "1", "1", reset = 3 })
    assert.is_truthy(talk:find("walk.mp4: followed anew from 0.20 s on", 1, true), talk)
  end)

  it("ends at once when nobody reads its output", function()
    for i = 1, 50 do write(("p%d.jpg"):format(i), "wait 5 people 1") end
    assert.equal("closed_output", run({ "." }, { json = "out", reader_gone = true }).code)
  end)

  it("ends at once when it is interrupted", function()
    for i = 1, 20 do write(("p%d.jpg"):format(i), "wait 60000 people 1") end
    local result
    local run_fiber = fiber.spawn(function() result = run({ "." }) end)
    fiber.sleep(0.05)
    run_fiber:cancel "interrupted"
    assert.is_true(run_fiber:join(5))
    assert.equal("cancelled", result.code)
  end)

  it("draws a bar on a terminal and takes it away", function()
    for i = 1, 3 do write(("p%d.jpg"):format(i), "people 1") end
    local _, _, talk = run({ "." }, { terminal = true, color = false })
    assert.is_truthy(talk:find("pictures                 3/3 ████████████████████  0.", 1, true), talk)
    assert.equal("\r\27[2K", talk:sub(-5))
  end)
end)
