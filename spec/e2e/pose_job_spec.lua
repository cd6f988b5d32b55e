local image, json = require "image", require "json"
local checks, support = require "spec.e2e.checks", require "spec.e2e.support"

describe("a pose job", function()
  local host

  setup(function() host = support.host { flags = "--workers 2" } end)

  teardown(function() host:stop() end)

  it("fails with a word on where the models come from when they are not here", function()
    local bare = support.host { environment = "STANCE_MODELS=/nonexistent" }
    finally(function() bare:stop() end)
    support.write(bare.folder .. "/a.png", assert(assert(image.new(64, 64, "#888888")):png()))
    local job = bare:wait(bare:submit("pose", { images = { bare.folder .. "/a.png" } }))
    assert.same({ "failed", "not_found" }, { job.status, job.error.code })
    assert.is_truthy(job.error.message:find("make models", 1, true), job.error.message)
  end)

  if not require("pose").models()[1].ready then
    pending "the pose models are not here (make models)"
    return
  end

  it("finds the people that a render job drew, and scores them against the labels", function()
    local drawn = host:submit("render", { characters = { "mannequin" }, angles = 4, size = { 384, 384 } })
    local job = host:wait(host:submit("pose", { job = drawn, overlay = true }), 60)
    assert.equal("completed", job.status, json.encode(job.error))
    local files = checks.artifacts(host, job.job_id)
    local scores = json.decode(files["score.json"])
    assert.same({ 4, 4, "mannequin" }, { scores.all.pictures, scores.all.detected, scores.characters[1].name })
    assert.is_true(scores.all.oks > 0.4 and scores.all.oks < 1, scores.all.oks)
    assert.is_true(scores.all.pck > 0.4 and scores.all.pck < 1, scores.all.pck)
    assert.is_true(scores.all.pa_mpjpe_mm > 10 and scores.all.pa_mpjpe_mm < 200, scores.all.pa_mpjpe_mm)
    assert.is_true(scores.all.joints.nose.pck > 0.5)
    assert.is_truthy(files["score.txt"]:find "mannequin +4 +100 %%")
    for _, view in ipairs { "front", "right", "back", "left" } do
      local found = json.decode(files["mannequin/" .. view .. ".pose.json"])
      assert.same({ "pose_v1", 384, 1 }, { found.schema, found.image.width, #found.people })
      assert.same({ 384, 384 }, { assert(image.decode(files["mannequin/" .. view .. ".pose.png"])):size() })
    end
    assert.is_truthy(files["landmarks.npy"]:find("'shape': (4, 33, 4)", 1, true))
    assert.equal(4, select(2, files["pictures.txt"]:gsub("\n", "")))
  end)

  it("is finished through kills of workers and the host, each picture once", function()
    local folder = host.folder .. "/in"
    local body = assert(require("scene").open "mannequin")
    for view in require("render").ring(body, { angles = 24, size = { 256, 256 } }) do
      support.write(("%s/%s.png"):format(folder, view.name), assert(view:png()))
    end
    body:close()
    local id = host:submit("pose", { images = { folder }, batch = 2 })
    checks.kill_at_random(host, id, 3, function() return 0.1 + math.random() * 0.2 end)
    local job = host:wait(id, 90)
    assert.equal("completed", job.status, json.encode(job.error))
    assert.same({ 24, 24 }, { job.result.pictures, job.result.people })
    assert.equal(24 + 3, select(2, checks.artifacts(host, id)))
    assert.equal(24 + 3, checks.committed_once(host, id))
  end)
end)
