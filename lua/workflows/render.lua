--- workflows/render.lua: labelled views of characters, all around or from any cameras, standing or moving.
---
--- For each character it makes `{character}/{view}.png` and `{character}/{view}.json` (runtime/media/labels.h), and for
--- the job `labels.coco.json` and `contact-sheet.png`. Views are named front, front_right, right, back_right, back,
--- back_left, left, front_left when there are 8, else by their degrees; right shows the character's right side. With `frames`
--- each name ends in the moment's number, from 0001.
---
--- `characters` are files (FBX, glTF, GLB, VRM), names in the configured `characters_dir`, or "mannequin", the
--- built-in one; with `together` all of them stand in the same pictures. Without `clip` a calm one is taken: the shortest name
--- with "idle" in it, else "stand", else "walk", else the first clip. `motion` plays another file's instead. The cameras keep
--- `distance` unless the body, in the largest box of any pose of the clip, would not be whole in a picture; then they stand
--- back in steps of 5 % until it is (the labels tell the distance). `cameras` are others: { kind = "sphere", count = 200 }, or a
--- file; what each kind takes is told in stance.cameras. A character that cannot be read fails alone; the job fails when all do.
---
--- `character_params` describe the people that are wanted. They choose nothing for a character that is read from a file; they
--- are kept in the COCO file's `info`, so that a data set says what was asked for. `seed` decides what chance decides: cameras
--- of the kind `random`, the look `random`, noise.
---
--- Parameters of the pipeline that this replaces keep their names: image_size, skeleton_format, save_json, save_numpy,
--- save_debug_images.
local fiber, fs, json, render = require "fiber", require "fs", require "json", require "render"
local err, t = require "stance.err", require "stance.schema"
local blender_views, bodies = require "stance.blender_views", require "stance.bodies"
local cast, keep, plan = require "stance.render_cast", require "stance.render_keep", require "stance.render_plan"
local contact_sheet, group = require "stance.contact_sheet", require "stance.group"
local label_arrays, labels = require "stance.label_arrays", require "stance.labels"

local params = t.object {
  characters = t.list(t.path) { min = 1, max = 1000, doc = "files, or `mannequin`, the built-in one" },
  together = t.boolean { default = false, doc = "all characters in the same pictures, side by side (64 at most)" },
  spacing = t.number { default = 1.2, min = 0, max = 100, unit = "m", doc = "between those who stand together" },
  clip = t.any { optional = true, doc = "name, or number from 1; `rest` or 0 for the rest pose" },
  motion = t.path { optional = true, doc = "FILE[#CLIP] that the characters play: BVH, AMC, or a clip of a character's file" },
  in_place = t.boolean { default = false, doc = "motion: without its way over the ground" },
  mirror = t.boolean { default = false, doc = "motion: left and right exchanged" },
  face_front = t.boolean { default = true, doc = "motion: turned so that it begins facing the front camera" },
  feet = t.boolean { default = true, doc = "motion: feet that rest are held in their places" },
  time = t.number { default = 0, min = 0, unit = "s", doc = "moment of the clip" },
  frames = t.string { optional = true, doc = "FIRST:LAST:STEP instead, the last one not taken; or 5, or 1,5,9" },
  fps = t.number { optional = true, min = 0.1, max = 1000, doc = "of `frames`; default: the clip's" },
  angles = t.integer { default = 8, min = 1, max = 360, doc = "views around, at equal steps" },
  distance = t.number { default = 3.5, min = 0.2, max = 200, unit = "m", doc = "of the cameras from the body's axis" },
  height = t.number { default = 1.6, min = -100, max = 100, unit = "m", doc = "of the cameras over the ground" },
  fov = t.number { default = 50, min = 5, max = 120, unit = "degrees", doc = "vertical field of view" },
  focal = t.number { optional = true, min = 1, max = 2000, unit = "mm", doc = "instead of `fov`; the sensor is 36 mm wide" },
  lens = t.any { optional = true, doc = "{ distortion = {k1,k2,p1,p2,k3}, f_number, focus } of cameras that bring none" },
  shutter = t.number { default = 0, min = 0, max = 1, doc = "share of a frame that it is open: motion blur" },
  cameras = t.any { optional = true, doc = "others than a ring: { kind, ... } of stance.cameras, or { file }" },
  size = t.size { optional = true, doc = "of the pictures; default 512x512" },
  image_size = t.size { optional = true, doc = "the same, by its older name" },
  samples = t.enum { 1, 4, 8, 16, 32, 64, default = 4, doc = "a pixel" },
  look = t.any { optional = true, doc = "`studio`, `random`, or a look as render.stage takes it" },
  look_ranges = t.any { optional = true, doc = "of the look `random`: stance.looks" },
  engine = t.enum { "stance", "blender", default = "stance", doc = "who draws; labels are ours" },
  blender = blender_views.params { default = {}, doc = "what Blender is asked for" },
  image = t.enum { "png", "jpeg", "webp", "none", default = "png", doc = "the pictures' format; none: labels alone" },
  quality = t.integer { default = 92, min = 1, max = 100, doc = "of JPEG and WebP" },
  maps = t.list(t.enum { "depth", "person", "part", "cover", "coverage", "normal", "flow", "triangle" }) { default = {},
    doc = "kept beside each picture as NPY" },
  save_json = t.boolean { default = true, doc = "a label file a view; else one line a view in labels/*.ndjson" },
  save_numpy = t.boolean { default = false, doc = "keypoints_2d.npy, keypoints_3d.npy: views x people x points x 4" },
  save_debug_images = t.boolean { default = false, doc = "each picture once more with the skeletons drawn on it" },
  skeleton_format = t.enum { "mediapipe_33", "coco_17", "body_25", "h36m_17", "smpl_24", optional = true,
    doc = "of the COCO file (default coco_17, with the 33 beside it) and of the arrays (default mediapipe_33)" },
  shard = t.integer { optional = true, min = 1, max = 1024,
    doc = "views a tar archive in shards/, as WebDataset reads them, in the place of files" },
  batch = t.integer { default = 4, min = 1, max = 64, doc = "views a step" },
  contact_sheet = t.boolean { default = true, doc = "draw one picture of all views" },
  output_dir = t.string { optional = true, doc = "where a client wants the results; kept with the job" },
  script = t.string { optional = true, doc = "kept with the job" },
  seed = t.integer { optional = true, min = 0, max = 1e9, doc = "of everything by chance; kept in the COCO file" },
  character_params = t.object {
    gender = t.string { optional = true }, age = t.number { optional = true },
    body_type = t.string { optional = true }, ethnicity = t.string { optional = true },
  } { optional = true, doc = "kept in the COCO file" },
}

-- -- Drawing -------------------------------------------------------------------------------------------------------------

local blender_batch = 64 -- Blender's start costs more than many pictures
local blender_timeout = 24 * 3600
local most_views = 1e6 -- what is planned of them is held in memory
local listed_views = 2000 -- of a job that has more, the result tells only their number

local function draw_options(p)
  return { samples = p.samples, batch = p.batch, maps = p.maps, shutter = p.shutter,
    picture = p.save_debug_images or (p.engine == "stance" and p.image ~= "none") }
end

--- A line a view, where the labels have no files of their own.
local function keep_lines(step, batch, made, kept)
  local name, lines = ("labels/%s.ndjson"):format(batch.key:gsub("/", "-")), {}
  for line, one in ipairs(made) do
    lines[line] = one.labels:gsub("\n", "") .. "\n"
    kept[line].labels, kept[line].line = name, line
  end
  step:artifact(name, table.concat(lines))
end

--- What each view of a batch leaves, in order. A view becomes durable by an fsync of its picture and one of its labels: so
--- several views at once.
local function keep_views(step, p, batch, views, opened)
  local list, made, kept, named = {}, {}, {}, p.shard and plan.key or plan.safe
  for view in views:each() do list[#list + 1] = view end
  local function take(view, png)
    local at = view.index - batch.first + 1
    made[at] = keep.make(step, view, named(batch.name), named(view.name), p, png)
    kept[at] = p.shard and { name = made[at].name } or keep.keep(step, made[at])
    if not p.shard then made[at].files = nil end
  end
  if p.engine == "blender" then
    step:try(blender_views.draw(views, opened.files, p.blender, take))
  else
    group.map(list, 8, function(view) take(view) return true end)
  end
  if p.shard then keep.keep_shard(step, ("shards/%s.tar"):format(batch.key:gsub("/", "-")), made) end
  if p.shard or not p.save_json then keep_lines(step, batch, made, kept) end
  return kept
end

local function draw_batch(step, p, batch, opened)
  local stage = opened.stage
  if p.look == "random" then stage = step:try(opened:under_look(batch.before + 1)) end
  local options = draw_options(p)
  options.cameras = step:try(opened:cameras(batch.first, batch.last))
  local views = step:try(render.views(stage, options))
  local kept = keep_views(step, p, batch, views, opened)
  if stage ~= opened.stage then stage:close() end
  return { views = kept, what = opened:what(), distance = opened.distance, people = #opened.bodies, timings = views:timings() }
end

-- -- After all are drawn ---------------------------------------------------------------------------------------------------

--- What became of each set, the views drawn, and the CPU seconds by stage.
local function sum_up(sets, outcomes)
  local characters, seconds, drawn = {}, {}, 0
  for c, set in ipairs(sets) do
    characters[c] = { name = set.name, file = #set.files == 1 and set.files[1] or nil, files = #set.files > 1 and set.files or nil,
      ok = true, views = {} }
  end
  for _, outcome in ipairs(outcomes) do
    local character, result = characters[outcome.item.set], outcome.result
    if not outcome.ok then
      character.ok = false
      character.error = character.error or { code = outcome.err.code, message = outcome.err.message }
    else
      character.shows, character.distance, character.people = result.what, result.distance, result.people
      for _, view in ipairs(result.views) do character.views[#character.views + 1] = view end
      for stage, value in pairs(result.timings) do seconds[stage] = (seconds[stage] or 0) + value end
      drawn = drawn + #result.views
    end
  end
  seconds.views = nil
  return characters, drawn, seconds
end

local function fail_without_views(characters)
  local reasons = {}
  for i, character in ipairs(characters) do reasons[i] = character.error.message end
  local code = characters[1].error.code
  if #reasons == 1 then error(err(code, "%s", reasons[1]), 0) end
  error(err(code, "none of %d characters could be drawn: %s", #reasons, table.concat(reasons, "; ")), 0)
end

--- Calls `fn` with the labels of each view, in order.
local function each_label(job, step, characters, fn)
  local name, lines
  for _, character in ipairs(characters) do
    for _, view in ipairs(character.views) do
      if view.line and name ~= view.labels then
        name, lines = view.labels, {}
        for line in step:try(job:read_artifact(name)):gmatch "[^\n]+" do lines[#lines + 1] = line end
      end
      fn(json.decode(view.line and lines[view.line] or step:try(job:read_artifact(view.labels))), view, character)
      fiber.yield() -- a thousand views must not hold the worker up
    end
  end
end

local function write_coco(job, step, p, characters)
  local coco = labels.coco({ description = "rendered views", seed = p.seed, character_params = p.character_params },
    p.skeleton_format)
  each_label(job, step, characters, coco.add)
  step:artifact("labels.coco.json", coco.finish())
end

local function write_arrays(job, step, p, characters)
  local people = 1
  for _, character in ipairs(characters) do people = math.max(people, character.people or 1) end
  local arrays = label_arrays.keypoints(p.skeleton_format or "mediapipe_33", people)
  each_label(job, step, characters, function(view) step:try(arrays.add(view)) end)
  for name, bytes in pairs(arrays.finish()) do step:artifact(name, bytes) end
end

--- Of a job with many views, some of each character's.
local function write_sheet(job, step, characters, drawn)
  local rows = {}
  for _, character in ipairs(characters) do
    if character.views[1] then
      local note = character.shows .. (character.distance and (", cameras at %.2f m"):format(character.distance) or "")
      rows[#rows + 1] = { title = character.name, note = note, cells = character.views }
    end
  end
  local function read(view)
    local text = step:try(job:read_artifact(view.labels))
    if view.line then
      local at = 0
      for line in text:gmatch "[^\n]+" do
        at = at + 1
        if at == view.line then text = line break end
      end
    end
    return { name = view.name, png = step:try(job:read_artifact(view.image)), labels = json.decode(text) }
  end
  local title = ("%d views of %s"):format(drawn, #rows == 1 and rows[1].title or #rows .. " characters")
  step:artifact("contact-sheet.png", step:try(contact_sheet.draw(title, rows, read)))
end

--- The result tells every view of a job that is not too large for it.
local function shorten(characters, drawn)
  for _, character in ipairs(characters) do
    character.count = #character.views
    if drawn > listed_views or character.count == 0 then character.views = nil end
  end
  return characters
end

-- -- The job ---------------------------------------------------------------------------------------------------------------

--- A file of cameras is kept with the job's results: a job that goes on must see what it began with.
local function read_cameras(job, p)
  if not p.cameras or not p.cameras.file then return nil end
  job:step("cameras.json", { retries = 2 }, function(step)
    step:artifact("cameras.json", step:try(fs.read(p.cameras.file, 64 * 1024 * 1024)))
  end)
  local text, why = job:read_artifact "cameras.json"
  if not text then error(why, 0) end
  local set
  set, why = cast.decode(text, p)
  if not set then error(err(why.code, "%s: %s", p.cameras.file, why.message), 0) end
  return set
end

local function views_a_step(p) return p.shard or p.engine == "blender" and blender_batch or p.batch end

--- Of each set.
local function count_views(p, file)
  local standing, moments = cast.count(p, file)
  if not standing then return nil, moments end
  local views, sets = standing * moments, p.together and 1 or #p.characters
  if views * sets > most_views then
    return nil, err("invalid", "%.0f views are too many for one job: at most %d", views * sets, most_views)
  end
  return views
end

return {
  name = "render", version = 2, params = params,

  --- Refused at once: what could never be drawn.
  admit = function(p)
    if p.cameras ~= nil and type(p.cameras) ~= "table" then
      return nil, err("invalid", "cameras must be an object with a kind or a file")
    end
    if type(p.look) == "string" and p.look ~= "studio" and p.look ~= "random" then
      return nil, err("invalid", "look must be studio, random or an object, not %s", p.look)
    end
    if p.together and #p.characters > 64 then return nil, err("invalid", "at most 64 characters stand together") end
    if p.engine == "blender" then
      local program, why = blender_views.check()
      if not program then return nil, why end
    end
    if p.cameras and p.cameras.file then return true end
    local views, why = count_views(p)
    if not views then return nil, why end
    return true
  end,

  estimate = function(p)
    if type(p.cameras) == "table" and p.cameras.file then return {} end
    local standing, moments = cast.count(p)
    return standing and { images = (p.together and 1 or #p.characters) * standing * moments } or {}
  end,

  run = function(job, p)
    p.size = p.size or p.image_size or { 512, 512 }
    local file = read_cameras(job, p)
    local sets, views, refusal = plan.sets(p.characters, p.together), count_views(p, file)
    if not views then error(refusal, 0) end
    local total = #sets * views
    local batches, count = plan.batches(sets, views, views_a_step(p)), plan.counter()
    local with_cast = bodies.share(function(set) return cast.open(set.files, p, file) end)

    local options = { retries = 2, timeout = p.engine == "blender" and blender_timeout or math.max(120, 2 * views_a_step(p)),
      concurrency = p.engine == "blender" and 1 or 2, key = function(batch) return batch.key end }
    local outcomes = job:each(batches, options, function(step, batch)
      job:progress(count(batch, true), total, batch.name)
      local ok, result, why = pcall(with_cast, batch.set, sets[batch.set], function(opened)
        return draw_batch(step, p, batch, opened)
      end)
      job:progress(count(batch, false), total, batch.name)
      if not ok then error(result, 0) end
      return step:try(result, why) -- fails this character, with its reason, not the others
    end)

    local characters, drawn, seconds = sum_up(sets, outcomes)
    if drawn == 0 then fail_without_views(characters) end
    job:step("labels.coco.json", { retries = 2 }, function(step) write_coco(job, step, p, characters) end)
    if p.save_numpy then job:step("keypoints.npy", { retries = 2 }, function(step) write_arrays(job, step, p, characters) end) end
    local has_sheet = p.contact_sheet and p.image ~= "none" and not p.shard
    if has_sheet then
      job:step("contact-sheet.png", { retries = 2 }, function(step) write_sheet(job, step, characters, drawn) end)
    end
    job:progress(total, total)
    return { characters = shorten(characters, drawn), images = drawn, cpu_seconds = seconds, coco = "labels.coco.json",
      contact_sheet = has_sheet and "contact-sheet.png" or nil }
  end,
}
