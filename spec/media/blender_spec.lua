local blender, fiber, fs, image = require "blender", require "fiber", require "fs", require "image"
local render, scene = require "render", require "scene"
local blender_views = require "stance.blender_views"
local ffi = require "ffi"

local function shell(command) return os.execute("{ " .. command .. "; } >/dev/null 2>&1") == 0 end

local assets = os.getenv "STANCE_ASSETS"
local size = 512

--- Views of a body from `angles` sides, each at a time of its own.
local function views_of(file, clip, times)
  local body = assert(scene.open(file))
  local options = { angles = #times, clip = clip, size = { size, size }, samples = 16, picture = false, maps = { "coverage" } }
  options.cameras = assert(render.cameras(body, options))
  for i, time in ipairs(times) do options.cameras[i].time = time end
  return assert(render.views(body, options)), body
end

--- The share of what either engine shows, by more than half of a pixel, that both do.
local function overlap(view, png)
  local picture = assert(image.decode(png))
  local theirs = ffi.cast("const uint8_t *", picture:rgba())
  local ours = ffi.cast("const float *", assert(view:map "coverage"))
  local both, either = 0, 0
  for i = 0, size * size - 1 do
    local a, b = theirs[4 * i + 3] >= 128, ours[i] >= 0.5
    if a and b then both = both + 1 end
    if a or b then either = either + 1 end
  end
  picture:close()
  return both / either
end

describe("blender", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(shell("mkdir " .. folder))
  end)

  teardown(function() os.execute("rm -r " .. folder) end)

  it("says what to do where there is no Blender", function()
    local program, err = blender.find { program = "no-such-blender" }
    assert.is_nil(program)
    assert.equal("unsupported", err.code)
    assert.is_truthy(err.message:find("apt install blender", 1, true))
    program, err = blender.find { program = "/nowhere/blender" }
    assert.is_nil(program)
    assert.is_truthy(err.message:find("no Blender at /nowhere/blender", 1, true))
    local run
    run, err = blender.open(views_of("mannequin", "idle", { 0 }), { files = { "x" }, program = "no-such-blender" })
    assert.is_nil(run)
    assert.equal("unsupported", err.code)
  end)

  if not blender_views.check() then
    pending "there is no Blender to draw with"
    return
  end

  local function draw(views, files, options, take)
    options.folder = folder
    local done, err = blender_views.draw(views, files, options, take or function() end)
    assert.same({}, assert(fs.list(folder))) -- nothing of it is left
    return done, err
  end

  local function fails(code, pattern, views, files, options)
    local done, err = draw(views, files, options or { engine = "workbench", samples = 1 })
    assert.is_nil(done)
    assert.equal(code, err.code, err.message)
    assert.is_truthy(err.message:find(pattern), err.message)
  end

  --- Workbench smooths edges by the logarithm of what it sees, and so makes bodies slimmer: there, without samples.
  local function agrees(file, clip, times, engine)
    local least, seen = 1, 0
    local views = views_of(file, clip, times)
    local options = { engine = engine, samples = engine == "workbench" and 1 or 16, transparent = true }
    local done = assert(draw(views, { file }, options, function(view, png)
      seen = seen + 1
      assert.equal(seen, view.index)
      least = math.min(least, overlap(view, png))
    end))
    assert.equal(#times, done.views)
    assert.is_truthy(done.version:find "^%d+%.%d+%.%d+$")
    assert.is_true(least >= 0.985, ("%s, clip %s: IoU %.4f"):format(file, views:clip() or "rest", least))
  end

  for _, engine in ipairs { "eevee", "cycles", "workbench" } do
    it("draws the silhouettes of our views by " .. engine, function() agrees("mannequin", "walk", { 0, 0.4 }, engine) end)
  end

  it("shows several people where they stand", function()
    local body = assert(scene.open "mannequin")
    local who = assert(render.stage { actors = {
      { body = body, clip = "walk", time = 0.2, position = { -0.5, 0, 0 }, yaw = 40 },
      { body = body, clip = "idle", position = { 0.4, 0, -0.6 }, yaw = -120 },
    } })
    local options = { angles = 2, size = { size, size }, samples = 16, picture = false, maps = { "coverage" } }
    options.cameras = assert(render.cameras(who, options))
    local least = 1
    local ways = { engine = "workbench", samples = 1, transparent = true }
    assert(draw(assert(render.views(who, options)), { "mannequin", "mannequin" }, ways, function(view, png)
      least = math.min(least, overlap(view, png))
    end))
    assert.is_true(least >= 0.985, ("IoU %.4f"):format(least))
    fails("invalid", "2 bodies are drawn, and 1 files", assert(render.views(who, options)), { "mannequin" })
  end)

  it("refuses what it would draw otherwise than we do", function()
    local body, path = assert(scene.open "mannequin"), os.tmpname() .. ".png"
    local cameras = { { position = { 0, 1.6, 3.5 }, target = { 0, 0.9, 0 }, size = { 64, 64 } } }
    local file = assert(io.open(path, "wb"))
    file:write((assert(assert(render.views(body, { cameras = cameras })):view(1):png())))
    file:close()
    for name, pattern in pairs { background = "background pictures", environment = "picture all around" } do
      local look = { [name] = path }
      fails("unsupported", pattern, assert(render.views(body, { cameras = cameras, look = look })), { "mannequin" })
    end
    os.remove(path)
  end)

  it("shows each character in each of its clips and moments as we do", function()
    if not assets then return pending "STANCE_ASSETS is not set" end
    for _, entry in ipairs(assert(fs.list(assets .. "/characters"))) do
      local file = ("%s/characters/%s"):format(assets, entry.name)
      local body = assert(scene.open(file))
      local clips = body:clips()
      body:close()
      agrees(file, nil, { 0, 0.3, 0.7 }, "workbench")
      if #clips > 1 then agrees(file, #clips, { 0.2, clips[#clips].seconds }, "workbench") end
    end
  end)

  it("refuses a body that Blender cannot read, or reads otherwise", function()
    local views = views_of("mannequin", "idle", { 0 })
    local glb = assert(scene.mannequin())
    local function spoilt(from, to)
      local bytes, count = glb:gsub(from, to)
      assert.is_true(count > 0 and #bytes == #glb)
      return { { glb = bytes } }
    end
    fails("unsupported", "Blender cannot read it", views, { { glb = glb:sub(1, 100) } })
    fails("unsupported", "box is %d+ mm off", views, spoilt('"POSITION":(%d+),"NORMAL":(%d+)', '"POSITION":%2,"NORMAL":%1'))
    fails("unsupported", "Blender has 0 of its %d+ joints", views, spoilt('"name":"([^"])', '"name":"~'))
    fails("not_found", "cannot read /nowhere%.fbx", views, { "/nowhere.fbx" })
    fails("invalid", "no engine", views, { "mannequin" }, { engine = "luxury", samples = 1 })
  end)

  it("ends a Blender that is silent for too long", function()
    fails("timeout", "gave no picture for 0 s", views_of("mannequin", "idle", { 0 }), { "mannequin" },
      { engine = "workbench", samples = 1, timeout = 0.05 })
  end)

  it("tells that Blender was killed", function()
    local views = views_of("mannequin", "idle", { 0 })
    local run = assert(blender.open(views, { files = { { glb = assert(scene.mannequin()) } }, folder = folder }))
    local name = assert(fs.list(folder))[1].name
    assert(shell(("pkill -KILL -f '[s]%s'"):format(name:sub(2))))
    local index, err = run:next()
    assert.is_nil(index)
    assert.equal("upstream", err.code)
    assert.is_truthy(err.message:find "ended by signal 9")
    run:close()
    assert.same({}, assert(fs.list(folder)))
  end)

  it("is ended when it shuts its pipes and stays", function()
    local program = folder .. "/mute"
    local file = assert(io.open(program, "w"))
    file:write "#!/bin/sh\nexec >&- 2>&- 3>&-\nwhile :; do sleep 60; done\n"
    file:close()
    assert(shell("chmod +x " .. program))
    local views = views_of("mannequin", "idle", { 0 })
    local run = assert(blender.open(views, { files = { { glb = assert(scene.mannequin()) } }, folder = folder, program = program }))
    local index, err = run:next()
    run:close()
    os.remove(program)
    assert.is_nil(index)
    assert.matches("ended by signal 9", err.message)
  end)

  it("is stopped by closing it while another fiber waits", function()
    local views = views_of("mannequin", "idle", { 0 })
    local run = assert(blender.open(views, { files = { { glb = assert(scene.mannequin()) } }, folder = folder }))
    local waiting = fiber.spawn(function()
      local _, err = run:next()
      return err.code
    end)
    fiber.yield()
    run:close()
    local _, code = waiting:join()
    assert.equal("cancelled", code)
  end)

  it("tells that the disk is full", function()
    local full = folder .. "/full"
    if not shell(("mkdir %s && mount -t tmpfs -o size=250k tmpfs %s"):format(full, full)) then
      os.execute("rmdir " .. full)
      return pending "no file system can be mounted here"
    end
    local body = assert(scene.open "mannequin")
    local cameras = assert(render.cameras(body, { angles = 1, size = { 900, 900 } }))
    local views = assert(render.views(body, { cameras = cameras }))
    local glb = assert(scene.mannequin { detail = 1 })
    local run, err = blender.open(views, { engine = "workbench", samples = 1, files = { { glb = glb } }, folder = full })
    if run then
      local index
      index, err = run:next()
      assert.is_nil(index)
      run:close()
    end
    assert(shell(("umount %s && rmdir %s"):format(full, full)))
    assert.equal("no_space", err.code, err.message)
  end)
end)
