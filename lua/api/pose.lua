--- api/pose.lua - people in a picture, over HTTP.
local host, pose, time = require "host", require "pose", require "time"
local err = require "stance.err"
local t = require "stance.schema"

local kinds = { ["image/jpeg"] = true, ["image/png"] = true, ["image/webp"] = true }

--- Of what is wrong with the picture, where the code alone would say something else.
local statuses = { unsupported = 415, corrupt = 422 }

--- Of what is wrong with the networks: no fault of the picture's.
local engine_statuses = { unsupported = 503, corrupt = 503, not_found = 503 }

local point = t.object { x = t.number, y = t.number, z = t.number, visibility = t.number }
local points = t.list(point) { min = 33, max = 33 }

local pose_v1 = t.object {
  schema = t.enum { "pose_v1" }, image = t.object { width = t.integer, height = t.integer }, detected = t.boolean,
  landmarks = points { optional = true, doc = "of the only person" }, t_sent_ms = t.number,
  people = t.list(t.object {
    id = t.integer, score = t.number, landmarks = points, world = points,
    roi = t.object { x = t.number, y = t.number, size = t.number, rotation = t.number },
  }),
}

local function refuse(why, by_code)
  why.status = by_code[why.code]
  return nil, why
end

--- The picture's bytes, or nil, err.
local function read_picture(request)
  local media = (request.headers["content-type"] or ""):lower():match "^%s*([^;%s]*)"
  if not kinds[media] then
    local given = media ~= "" and ", not " .. media or ""
    return refuse(err("unsupported", "the body must be image/jpeg, image/png or image/webp%s", given), statuses)
  end
  local bytes, why = request.raw:body(host.config "max_body")
  if bytes == "" then return nil, err("invalid", "the body is empty: send the bytes of a picture") end
  return bytes, why
end

return function(route, app)
  route.post "/api/pose" {
    doc = "People in a picture (body: JPEG, PNG or WebP), as pose_v1: 33 landmarks each, in the picture and in metres. `model`, the most "
      .. "`people` to look for, and the least score of a person.",
    scope = "pose:detect", answers = { [200] = pose_v1, [415] = route.problem, [422] = route.problem, [503] = route.problem },
    query = t.object {
      model = t.enum { "lite", "full", "heavy" } { default = "full" }, people = t.integer { default = 1, min = 1, max = 16 },
      min_detection = t.number { default = 0.5, min = 0, max = 1 },
    },
    handler = function(request)
      if app.stopping then return nil, err("busy", "the host is stopping") end
      local bytes, why = read_picture(request)
      if not bytes then return nil, why end
      local query = request.query
      local engine, broken = pose.engine { model = query.model, people = query.people, min_detection = query.min_detection }
      if not engine then return refuse(broken, engine_statuses) end
      local found, fault = engine:detect(bytes)
      if not found then return refuse(fault, statuses) end
      found.t_sent_ms = math.floor(time.now() * 1000)
      return 200, found
    end,
  }
end
