--- workflows/pose.lua: the people in pictures, and where the pictures have labels, how well they were found.
---
--- It looks at `images` (files and folders) or at what an earlier `job` made, for which it waits; render jobs leave labels beside
--- their pictures. For each picture NAME it makes `NAME.pose.json` (pose_v1), with `overlay` also `NAME.pose.png`, the skeletons
--- drawn on it; for all of them `landmarks.npy` and `world.npy` (pictures x people x 33 x 4; without the second axis when
--- `people` is 1; NaN where nobody is), their names in `pictures.txt`, and where there are labels `score.json` and
--- `score.txt` (lua/stance/pose/score.lua), for all and for each character. A picture that cannot be read fails alone, as does
--- one that ends its pose process or is too slow for it: it gets a second look, by itself, when all others are done.
local json, npy, pose = require "json", require "npy", require "pose"
local err, overlay, t = require "stance.err", require "stance.pose.overlay", require "stance.schema"
local pictures, record, score = require "stance.pose.pictures", require "stance.pose.record", require "stance.pose.score"
local score_table = require "stance.pose.score_table"

local params = t.object {
  images = t.list(t.path) { optional = true, min = 1, max = 1000, doc = "pictures, and folders of them, by absolute paths" },
  job = t.string { optional = true, min = 1, doc = "an earlier job whose pictures to look at; it is waited for" },
  model = t.enum { "lite", "full", "heavy", default = "full", doc = "heavier ones are slower and better" },
  people = t.integer { default = 1, min = 1, max = 16, doc = "looked for in a picture, at most" },
  min_detection = t.number { default = 0.5, min = 0, max = 1, doc = "how sure that somebody is there" },
  overlay = t.boolean { default = false, doc = "draw the skeletons on the pictures" },
  backend = t.enum { "auto", "cpu", "cuda", default = "auto", doc = "auto: the GPU where there is one" },
  batch = t.integer { default = 8, min = 1, max = 64, doc = "pictures a step" },
}

local function list_pictures(step, p, other)
  if other then
    step:try(other:join())
    return { list = step:try(pictures.of_artifacts(other:artifacts(), other.id)), failures = json.array {} }
  end
  local list, why, failures = pictures.of_paths(p.images)
  return { list = step:try(list, why), failures = json.array(failures) }
end

local function batches_of(list, size)
  local out = {}
  for first = 1, #list, size do
    local batch = { first = first, pictures = {} }
    for i = first, math.min(first + size - 1, #list) do batch.pictures[#batch.pictures + 1] = list[i] end
    out[#out + 1] = batch
  end
  return out
end

--- May be the picture's fault or another's: its pose process ended or was too slow. Returned by `detect`, that is; the deadline of
--- a step has the code `timeout`, too, but is raised.
local unclear = { upstream = true, timeout = true }

--- One picture: how many people, and the comparison with its labels; or `again`, with an error that is unclear.
local function look_at(step, p, engine, picture, other)
  local bytes, labels = pictures.read(picture, other)
  if not bytes then error(labels, 0) end
  local found, why = engine:detect(bytes)
  if not found and unclear[why.code] then return { again = true, error = { code = why.code, message = why.message } } end
  step:try(found, why)
  found.file = picture.path or picture.artifact
  step:artifact(picture.name .. ".pose.json", record.line(found))
  if p.overlay then step:artifact(picture.name .. ".pose.png", step:try(overlay.of_file(bytes, found.people))) end
  return { people = #found.people, character = labels and labels.character,
    compared = labels and json.array(score.compare(labels, found.people)) }
end

--- What is wrong with a picture, and not with the process that looks at it.
local of_the_picture = { corrupt = true, unsupported = true, too_large = true, not_found = true, denied = true, invalid = true }

local function look_at_batch(step, batch, look)
  local out = {}
  for i, picture in ipairs(batch.pictures) do
    local ok, seen = pcall(look, step, picture, batch.first + i - 1)
    if not ok then
      if type(seen) ~= "table" or not of_the_picture[seen.code] then error(seen, 0) end
      seen = { error = { code = seen.code, message = seen.message } }
    end
    out[i] = seen
  end
  return out
end

--- Of each picture what was seen, or { error }, in the order of the list.
local function gather(batches, outcomes)
  local out = {}
  for b, outcome in ipairs(outcomes) do
    for i = 1, #batches[b].pictures do
      out[#out + 1] = outcome.ok and outcome.result[i] or { error = { code = outcome.err.code, message = outcome.err.message } }
    end
  end
  return out
end

--- In batches; then once more, one after another, at those that were unclear: whatever happens then is their own.
local function look_at_all(job, list, size, look)
  local function each(batches, key, concurrency)
    local options = { retries = 2, timeout = 600, concurrency = concurrency, key = function(batch) return key:format(batch.first) end }
    return gather(batches, job:each(batches, options, function(step, batch) return look_at_batch(step, batch, look) end))
  end
  local seen, again = each(batches_of(list, size), "look/%d", 2), {}
  for number, one in ipairs(seen) do
    if one.again then again[#again + 1] = { first = number, pictures = { list[number] } } end
  end
  for i, one in ipairs(each(again, "again/%d", 1)) do seen[again[i].first] = one end
  return seen
end

local function write_arrays(job, step, p, list, seen)
  local shape, names = record.shape(p.people), {}
  local arrays = { landmarks = npy.new(shape), world = npy.new(shape) }
  for i, one in ipairs(seen) do
    if not one.error then
      local found = json.decode(step:try(job:read_artifact(list[i].name .. ".pose.json")))
      for field, array in pairs(arrays) do step:try(array:append(record.row(found.people, p.people, field))) end
      names[#names + 1] = list[i].name
    end
  end
  for field, array in pairs(arrays) do step:artifact(field .. ".npy", array:bytes()) end
  step:artifact("pictures.txt", table.concat(names, "\n") .. "\n")
end

--- The score of all labelled pictures and of each character's; nil when none has labels.
local function score_of(seen, model)
  local all, by_character, names = {}, {}, {}
  for _, one in ipairs(seen) do
    if one.compared then
      local name = one.character or "?"
      if not by_character[name] then
        by_character[name] = {}
        names[#names + 1] = name
      end
      for _, comparison in ipairs(one.compared) do
        all[#all + 1] = comparison
        table.insert(by_character[name], comparison)
      end
    end
  end
  if #all == 0 then return nil end
  local out = { schema = "stance.pose_score", schema_version = 1, model = model, all = score.sum(all), characters = {} }
  for i, name in ipairs(names) do
    local sum = score.sum(by_character[name])
    sum.name = name
    out.characters[i] = sum
  end
  return out
end

local function without_joints(sum)
  return { name = sum.name, pictures = sum.pictures, detected = sum.detected, detection_rate = sum.detection_rate, oks = sum.oks,
    pck = sum.pck, pa_mpjpe_mm = sum.pa_mpjpe_mm }
end

local function write_score(step, scores)
  step:artifact("score.json", json.encode(scores) .. "\n")
  step:artifact("score.txt", score_table.text(scores))
end

local function sum_up(list, seen, failures, scores, p)
  local result = { pictures = 0, people = 0, failed = json.array(failures), model = p.model }
  for i, one in ipairs(seen) do
    if one.error then
      table.insert(result.failed, { name = list[i].name, message = one.error.message })
    else
      result.pictures, result.people = result.pictures + 1, result.people + one.people
    end
  end
  if result.pictures == 0 then
    error(err("invalid", "none of %d pictures could be looked at: %s", #list, result.failed[1].message), 0)
  end
  if scores then
    result.score = { all = without_joints(scores.all), characters = json.array {}, file = "score.json" }
    for i, sum in ipairs(scores.characters) do result.score.characters[i] = without_joints(sum) end
  end
  return result
end

return {
  name = "pose", version = 1, params = params,
  estimate = function(p) return { images = p.images and #p.images } end,

  run = function(job, p)
    if (p.images ~= nil) == (p.job ~= nil) then error(err("invalid", "give either images or job"), 0) end
    local other = p.job and job:other(p.job)
    local listed = job:step("pictures", { retries = 2 }, function(step) return list_pictures(step, p, other) end)
    local list = listed.list
    local engine, why = pose.engine { model = p.model, backend = p.backend, people = p.people, min_detection = p.min_detection }
    if not engine then error(why, 0) end

    local furthest = 0
    local function look(step, picture, number)
      local seen = look_at(step, p, engine, picture, other)
      furthest = math.max(furthest, number)
      job:progress(furthest, #list, picture.name)
      return seen
    end

    local seen = look_at_all(job, list, p.batch, look)
    local scores = score_of(seen, p.model)
    local result = sum_up(list, seen, listed.failures, scores, p)
    job:step("arrays", { retries = 2 }, function(step) write_arrays(job, step, p, list, seen) end)
    if scores then job:step("score", { retries = 2 }, function(step) write_score(step, scores) end) end
    job:progress(#list, #list)
    return result
  end,
}
