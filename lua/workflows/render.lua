--- workflows/render.lua: labelled views of each character, all around.
---
--- For each character it makes `{character}/{view}.png` and `{character}/{view}.json` (runtime/media/labels.h), and for
--- the job `labels.coco.json` and `contact-sheet.png`. Views are named front, front_right, right, back_right, back,
--- back_left, left, front_left when there are 8, else by their degrees; right shows the character's right side.
---
--- `characters` are files (FBX, glTF, GLB, VRM), names in the configured `characters_dir`, or "mannequin", the
--- built-in one. Without `clip` a calm one is taken: the shortest name with "idle" in it, else "stand", else "walk",
--- else the first clip. The cameras keep `distance` unless the body, in the largest box of any pose of the clip, would
--- not be whole in a picture; then they stand back in steps of 5 % until it is (the labels tell the distance). A
--- character that cannot be read fails alone; the job fails when all do.
---
--- `character_params` and `seed` describe the people that are wanted. They choose nothing for a character that is read
--- from a file; they are kept in the COCO file's `info`, so that a data set says what was asked for.
local fiber, json, render, scene = require "fiber", require "json", require "render", require "scene"
local err, t = require "stance.err", require "stance.schema"
local bodies, character_files = require "stance.bodies", require "stance.characters"
local group, plan = require "stance.group", require "stance.render_plan"
local contact_sheet, labels = require "stance.contact_sheet", require "stance.labels"

local params = t.object {
  characters = t.list(t.path) { min = 1, max = 1000, doc = "files, or `mannequin`, the built-in one" },
  angles = t.integer { default = 8, min = 1, max = 360, doc = "views a character, at equal steps" },
  distance = t.number { default = 3.5, min = 0.2, max = 200, unit = "m", doc = "of the cameras from the body's axis" },
  height = t.number { default = 1.6, min = -100, max = 100, unit = "m", doc = "of the cameras over the ground" },
  size = t.size { default = { 512, 512 }, doc = "of the pictures" },
  fov = t.number { default = 50, min = 5, max = 120, unit = "degrees", doc = "vertical field of view" },
  clip = t.any { optional = true, doc = "name, or number from 1; `rest` or 0 for the rest pose" },
  time = t.number { default = 0, min = 0, unit = "s", doc = "moment of the clip" },
  samples = t.enum { 1, 4, 8, 16, default = 4, doc = "a pixel" },
  batch = t.integer { default = 4, min = 1, max = 64, doc = "views a step" },
  contact_sheet = t.boolean { default = true, doc = "draw one picture of all views" },
  output_dir = t.string { optional = true, doc = "where a client wants the results; kept with the job" },
  script = t.string { optional = true, doc = "kept with the job" },
  seed = t.integer { optional = true, doc = "kept in the COCO file" },
  character_params = t.object {
    gender = t.string { optional = true }, age = t.number { optional = true },
    body_type = t.string { optional = true }, ethnicity = t.string { optional = true },
  } { optional = true, doc = "kept in the COCO file" },
}

--- A body with its ring of cameras, which is costly to place and the same for all batches.
local function open_body(file, p)
  local path, why = character_files.find(file)
  if not path then return nil, why end
  local body
  body, why = scene.open(path)
  if not body then return nil, why end
  local cameras, reason = render.cameras(body, p)
  if not cameras then body:close() return nil, reason end
  return { body = body, cameras = cameras, close = function() body:close() end }
end

--- A view becomes durable by an fsync of its picture and one of its labels: so all views of the batch at once.
local function draw_batch(step, p, batch, opened)
  local cameras, list = {}, {}
  for i = batch.first, batch.last do cameras[#cameras + 1] = opened.cameras[i] end
  local options = { cameras = cameras, clip = p.clip, samples = p.samples, batch = p.batch }
  local views = step:try(render.views(opened.body, options))
  for view in views:each() do list[#list + 1] = view end
  local kept = group.map(list, 8, function(view)
    local stem = batch.name .. "/" .. view.name
    step:artifact(stem .. ".png", step:try(view:png()))
    step:artifact(stem .. ".json", step:try(view:labels { image = stem .. ".png", character = batch.name }))
    return { name = view.name, image = stem .. ".png", labels = stem .. ".json" }
  end)
  return { views = kept, clip = views:clip(), distance = cameras[1].distance, timings = views:timings() }
end

--- What became of each character, the views drawn, and the CPU seconds by stage.
local function sum_up(p, names, outcomes)
  local characters, seconds, drawn = {}, {}, 0
  for c, file in ipairs(p.characters) do characters[c] = { name = names[c], file = file, ok = true, views = {} } end
  for _, outcome in ipairs(outcomes) do
    local character, result = characters[outcome.item.character], outcome.result
    if not outcome.ok then
      character.ok = false
      character.error = character.error or { code = outcome.err.code, message = outcome.err.message }
    else
      character.clip, character.distance = result.clip, result.distance
      for _, view in ipairs(result.views) do character.views[#character.views + 1] = view end
      for stage, value in pairs(result.timings) do seconds[stage] = (seconds[stage] or 0) + value end
      drawn = drawn + #result.views
    end
  end
  seconds.views = nil
  for _, character in ipairs(characters) do
    if not character.views[1] then character.views = nil end
  end
  return characters, drawn, seconds
end

local function fail_without_views(characters)
  local reasons = {}
  for i, character in ipairs(characters) do reasons[i] = character.error.message end
  local code = characters[1].error.code
  if #reasons == 1 then error(err(code, "%s", reasons[1]), 0) end
  error(err(code, "none of %d characters could be drawn: %s", #reasons, table.concat(reasons, "; ")), 0)
end

local function write_coco(job, step, p, characters)
  local coco = labels.coco { description = "rendered views", seed = p.seed, character_params = p.character_params }
  for _, character in ipairs(characters) do
    for _, view in ipairs(character.views or {}) do
      coco.add(json.decode(step:try(job:read_artifact(view.labels))))
      fiber.yield() -- a thousand views must not hold the worker up
    end
  end
  step:artifact("labels.coco.json", coco.finish())
end

local function write_sheet(job, step, characters, drawn)
  local rows = {}
  for _, character in ipairs(characters) do
    if character.views then
      local clip = character.clip and "clip " .. character.clip or "rest pose"
      rows[#rows + 1] = { title = character.name, note = ("%s, cameras at %.2f m"):format(clip, character.distance),
        cells = character.views }
    end
  end
  local function read(view)
    return { name = view.name, png = step:try(job:read_artifact(view.image)),
      labels = json.decode(step:try(job:read_artifact(view.labels))) }
  end
  local title = ("%d views of %s"):format(drawn, #rows == 1 and rows[1].title or #rows .. " characters")
  step:artifact("contact-sheet.png", step:try(contact_sheet.draw(title, rows, read)))
end

return {
  name = "render", version = 1, params = params,
  estimate = function(p) return { images = #p.characters * p.angles } end,

  run = function(job, p)
    local names, total = plan.names(p.characters), #p.characters * p.angles
    local batches, count = plan.batches(p.characters, names, p.angles, p.batch), plan.counter()
    local with_body = bodies.share(function(file) return open_body(file, p) end)

    local options = { retries = 2, timeout = 120, concurrency = 2, key = function(batch) return batch.key end }
    local outcomes = job:each(batches, options, function(step, batch)
      job:progress(count(batch, true), total, batch.name)
      local ok, result, why = pcall(with_body, batch.character, batch.file, function(opened)
        return draw_batch(step, p, batch, opened)
      end)
      job:progress(count(batch, false), total, batch.name)
      if not ok then error(result, 0) end
      return step:try(result, why) -- fails this character, with its reason, not the others
    end)

    local characters, drawn, seconds = sum_up(p, names, outcomes)
    if drawn == 0 then fail_without_views(characters) end
    job:step("labels.coco.json", { retries = 2 }, function(step) write_coco(job, step, p, characters) end)
    if p.contact_sheet then
      job:step("contact-sheet.png", { retries = 2 }, function(step) write_sheet(job, step, characters, drawn) end)
    end
    job:progress(total, total)
    return { characters = characters, images = drawn, cpu_seconds = seconds, coco = "labels.coco.json",
      contact_sheet = p.contact_sheet and "contact-sheet.png" or nil }
  end,
}
