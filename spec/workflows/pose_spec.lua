local image, json = require "image", require "json"
local err, testing = require "stance.err", require "stance.testing"

local names = require("stance.labels").landmarks

--- Somebody who stands in the middle of every picture.
local function somebody(id)
  local person = { id = id, score = 0.9, landmarks = {}, world = {} }
  for i = 1, #names do
    person.landmarks[i] = { x = 0.5, y = i / 40, z = 0, visibility = 1 }
    person.world[i] = { x = i % 3 / 10, y = i / 40, z = i % 5 / 10, visibility = 1 }
  end
  return person
end

local deadly = { [30] = "upstream", [31] = "timeout" } -- codes by the widths of pictures that are the end of their process

--- Stands in for the module `pose`: who is in a picture goes by its width.
local function fake_pose(log)
  return {
    engine = function(options)
      log.engine = options
      return {
        detect = function(_, bytes)
          log.looks = (log.looks or 0) + 1
          local width, height = bytes:byte(20), bytes:byte(24) -- of a small PNG
          log.order = (log.order or "") .. width .. " "
          if width == 13 and log.looks < 2 then return nil, err("upstream", "the pose process died") end
          if deadly[width] then return nil, err(deadly[width], "the pose process died of %d", width) end
          if width == 40 then error(err("timeout", "the step's deadline has passed"), 0) end -- as every wait does then
          local people = json.array {}
          for i = 1, width == 20 and 0 or width == 24 and 2 or 1 do people[i] = somebody(i) end
          return { schema = "pose_v1", image = { width = width, height = height }, people = people }
        end,
      }
    end,
  }
end

describe("workflow pose", function()
  local folder, log, host

  local function picture(name, width)
    os.execute(("mkdir -p \"$(dirname '%s/%s')\""):format(folder, name))
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(type(width) == "string" and width or assert(assert(image.new(width, 16, "#808080")):png()))
    file:close()
    return folder .. "/" .. name
  end

  before_each(function()
    folder, log = os.tmpname(), {}
    os.remove(folder)
    os.execute("mkdir " .. folder)
    host = testing.host { modules = { pose = fake_pose(log) } }
  end)

  after_each(function() os.execute("rm -r " .. folder) end)

  local function run(params)
    local job = assert(host:submit("pose", params))
    job:finish()
    return job
  end

  it("looks at the pictures of folders, in their order", function()
    picture("b.png", 20)
    picture("a/c.png", 16)
    picture("notes.txt", "x")
    local job = run { images = { folder } }
    assert.same({ "completed", 2, 1, nil }, { job.status, job.result.pictures, job.result.people, job.result.score })
    assert.same({ "a/c.pose.json", "b.pose.json", "landmarks.npy", "pictures.txt", "world.npy" }, job:artifacts())
    assert.equal("a/c\nb\n", job:read "pictures.txt")
    local pose = json.decode(job:read "a/c.pose.json")
    assert.same({ "pose_v1", folder .. "/a/c.png", 33 }, { pose.schema, pose.file, #pose.people[1].landmarks })
    assert.is_truthy(job:read("b.pose.json"):find('"people":[]', 1, true))
    assert.same({ "full", 1 }, { log.engine.model, log.engine.people })
  end)

  it("writes arrays of four bytes a number, NaN where nobody is", function()
    picture("a.png", 16)
    picture("b.png", 20)
    local job = run { images = { folder } }
    local bytes = job:read "landmarks.npy"
    assert.equal("\147NUMPY", bytes:sub(1, 6))
    assert.is_truthy(bytes:find("'shape': (2, 33, 4)", 1, true))
    assert.equal(0, (#bytes - 2 * 33 * 4 * 4) % 64)
    local data = bytes:sub(-2 * 33 * 4 * 4)
    assert.equal("\0\0\0\63", data:sub(1, 4)) -- 0.5
    local nan = data:sub(33 * 4 * 4 + 1, 33 * 4 * 4 + 4)
    assert.is_true(nan:byte(4) % 128 == 127 and nan:byte(3) > 128)
    assert.is_truthy(run({ images = { folder }, people = 2 }):read("world.npy"):find("'shape': (2, 2, 33, 4)", 1, true))
  end)

  it("lets a picture that cannot be read fail alone", function()
    picture("a.png", 16)
    local bad = picture("b.png", "no picture")
    local job = run { images = { folder, folder .. "/none.png" } }
    assert.equal("completed", job.status)
    assert.same({ 1, 2 }, { job.result.pictures, #job.result.failed })
    assert.same({ folder .. "/none.png", "b" }, { job.result.failed[1].name, job.result.failed[2].name })
    assert.is_truthy(job.result.failed[2].message:find(bad, 1, true))
    assert.equal("a\n", job:read "pictures.txt")
  end)

  it("fails when no picture can be looked at", function()
    picture("a.png", "no picture")
    local job = run { images = { folder } }
    assert.same({ "failed", "invalid" }, { job.status, job.error.code })
    assert.equal("not_found", run({ images = { folder .. "/nowhere" } }).error.code)
    os.execute("mkdir " .. folder .. "/empty")
    assert.is_truthy(run({ images = { folder .. "/empty" } }).error.message:find "there are no pictures in ")
  end)

  it("looks again when a process died", function()
    picture("a.png", 13)
    local job = run { images = { folder } }
    assert.same({ "completed", 2 }, { job.status, log.looks })
  end)

  it("lets a picture that ends its process, or takes too long, fail alone after another look by itself", function()
    for i = 1, 6 do picture(("p%d.png"):format(i), i == 2 and 30 or i == 5 and 31 or 16) end
    local job = run { images = { folder }, batch = 3 }
    assert.same({ "completed", 4 }, { job.status, job.result.pictures })
    assert.same({ { name = "p2", message = "the pose process died of 30" }, { name = "p5", message = "the pose process died of 31" } },
      job.result.failed)
    assert.equal("p1\np3\np4\np6\n", job:read "pictures.txt")
    assert.is_truthy(log.order:find " 30 31 $", log.order) -- after all others
    assert.same({ 8, 1, 1 }, { log.looks, job:runs "look/1", job:runs "again/2" })
  end)

  it("does not take its own deadline for the picture's fault", function()
    picture("a.png", 40)
    local job = run { images = { folder } }
    assert.same({ "failed", 3, 0 }, { job.status, log.looks, job:runs "again/1" })
  end)

  it("does not repeat what is done when its worker is killed", function()
    for i = 1, 6 do picture(("p%d.png"):format(i), 16) end
    local job = assert(host:submit("pose", { images = { folder }, batch = 2 }))
    job:kill_worker { step = "look/3", when = "after" }
    job:finish()
    assert.equal("completed", job.status)
    for _, key in ipairs { "look/1", "look/3", "look/5" } do assert.is_true(job:runs(key) <= (key == "look/3" and 1 or 2), key) end
    assert.equal(6, job.result.pictures)
  end)

  it("waits for a render job and scores what that drew", function()
    local drawn = assert(host:submit("render", { characters = { "mannequin" }, angles = 4, size = { 64, 64 }, samples = 1 }))
    local job = run { job = drawn.id }
    assert.equal("completed", job.status)
    assert.equal(4, job.result.pictures)
    local scores = json.decode(job:read "score.json")
    assert.same({ "stance.pose_score", 4, 4, 1 }, { scores.schema, scores.all.pictures, scores.all.detected, #scores.characters })
    assert.equal("mannequin", scores.characters[1].name)
    assert.is_true(scores.all.oks > 0 and scores.all.oks < 1 and scores.all.pa_mpjpe_mm > 0)
    assert.is_number(scores.all.joints.left_wrist.pck)
    assert.equal(scores.all.oks, job.result.score.all.oks)
    assert.is_truthy(job:read("score.txt"):find("mannequin +4 +100 %%"))
    assert.is_truthy(job:read "mannequin/front.pose.json")
  end)

  it("scores files that have labels beside them", function()
    picture("a.png", 16)
    picture("b.png", 16)
    picture("b.json", '{"schema":"something else"}')
    assert.is_nil(run({ images = { folder } }).result.score)
  end)

  it("draws skeletons when asked", function()
    picture("a.png", 16)
    local job = run { images = { folder }, overlay = true }
    assert.same({ 16, 16 }, { assert(image.decode(job:read "a.pose.png")):size() })
  end)

  it("wants either pictures or a job", function()
    assert.equal("invalid", run({}).error.code)
    assert.equal("invalid", run({ images = { folder }, job = "x" }).error.code)
    assert.equal("not_found", run({ job = "render_20200101_000000_00000000" }).error.code)
    assert.is_nil((host:submit("pose", { images = { folder }, people = 17 })))
  end)
end)
