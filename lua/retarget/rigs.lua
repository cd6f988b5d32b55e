--- rigs.lua - the skeletons that are known by the names of their bones: the tables of retarget/rigs/, ready to match.
---
--- A table teaches one rig: its `name`, `prefixes` that may stand before every name (with a number after them), and its
--- `bones`: VRM 1.0's names of human bones, each with the joint's name or several, the better first. Names are compared
--- without regard to case and to all but letters and digits, and without namespace ("mixamorig:"). A pair is written once,
--- with both sides in braces (`upperArm = "thigh.{L|R}"`), and so is a finger, with # for its joints from 1 to 3. A
--- workspace adds a rig by a file of its own in retarget/rigs/, and replaces ours by one of the same name. words.lua there
--- is another kind of table: of words, for rigs that no table knows.
local host = require "host"

local M = {}

---@class stance.rig_table
---@field name string
---@field prefixes? string[]
---@field bones table<string, string|string[]>

---@class stance.rig
---@field name string
---@field prefixes string[]
---@field bones { bone: string, names: string[] }[]

local sides = { "left", "right" }
local single = { hips = true, spine = true, chest = true, upperChest = true, neck = true, head = true, jaw = true }
local paired = {
  eye = true, shoulder = true, upperArm = true, lowerArm = true, hand = true, upperLeg = true, lowerLeg = true, foot = true,
  toes = true,
}
local fingers = {
  thumb = { "Metacarpal", "Proximal", "Distal" }, index = { "Proximal", "Intermediate", "Distal" },
  middle = { "Proximal", "Intermediate", "Distal" }, ring = { "Proximal", "Intermediate", "Distal" },
  little = { "Proximal", "Intermediate", "Distal" },
}
for finger, joints in pairs(fingers) do
  for _, joint in ipairs(joints) do paired[finger .. joint] = true end
end

local function capital(word) return word:sub(1, 1):upper() .. word:sub(2) end

--- "leftUpperArm" -> "upperArm"; nil for others.
local function without_side(key)
  local rest = key:match "^left(%u.*)$" or key:match "^right(%u.*)$"
  rest = rest and rest:sub(1, 1):lower() .. rest:sub(2)
  return rest and paired[rest] and rest or nil
end

local function list_of(value)
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" or #list == 0 then return nil end
  for _, name in ipairs(list) do
    if type(name) ~= "string" or not name:match "%w" then return nil end
  end
  return list
end

local function each(list, change)
  local out = {}
  for i, name in ipairs(list) do out[i] = change(name) end
  return out
end

--- "{L|R}" becomes the side's half, "#" the number.
local function one_side(list, side)
  return each(list, function(name)
    return (name:gsub("{([^|}]*)|([^}]*)}", side == 1 and "%1" or "%2"))
  end)
end

local function add(out, bone, names) out[#out + 1] = { bone = bone, names = names } end

local function add_key(out, key, list)
  if single[key] or without_side(key) then
    add(out, key, list)
  elseif paired[key] then
    for side, word in ipairs(sides) do add(out, word .. capital(key), one_side(list, side)) end
  elseif fingers[key] then
    for number, joint in ipairs(fingers[key]) do
      local numbered = each(list, function(name) return (name:gsub("#", tostring(number))) end)
      for side, word in ipairs(sides) do add(out, word .. capital(key) .. joint, one_side(numbered, side)) end
    end
  else
    return false
  end
  return true
end

--- A rig's table with pairs and fingers written out; nil and what is wrong with it.
---@param rig stance.rig_table
---@return stance.rig|nil, string|nil why
function M.expand(rig)
  if type(rig) ~= "table" or type(rig.name) ~= "string" or rig.name == "" then return nil, "must return a table with a `name`" end
  if type(rig.bones) ~= "table" then return nil, "has no `bones`" end
  local prefixes = rig.prefixes == nil and {} or list_of(rig.prefixes)
  if not prefixes then return nil, "has `prefixes` that are no list of names" end
  local out, keys = { name = rig.name, prefixes = prefixes, bones = {} }, {}
  for key in pairs(rig.bones) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local list = list_of(rig.bones[key])
    if not list then return nil, ("has a bone '%s' that is neither a name nor a list of names"):format(key) end
    if not add_key(out.bones, key, list) then
      return nil, ("has a bone '%s', which is none of VRM's (hips, upperArm, leftUpperArm, index, ...)"):format(key)
    end
  end
  return out
end

local function expand_words(words)
  local out = { unclear = {}, fingers = {} }
  for _, kind in ipairs { "left", "right", "noise", "helpers" } do
    out[kind] = list_of(words[kind])
    if not out[kind] then return nil, ("has no list `%s`"):format(kind) end
  end
  for bone, list in pairs(type(words.bones) == "table" and words.bones or {}) do
    if not (single[bone] or paired[bone]) or not list_of(list) then return nil, ("has a bad bone '%s'"):format(tostring(bone)) end
    add(out, single[bone] and bone or "left" .. capital(bone), list_of(list))
  end
  if #out == 0 then return nil, "has no `bones`" end
  for _, kind in ipairs { "arm", "leg", "shoulder" } do out.unclear[kind] = list_of((words.unclear or {})[kind]) or {} end
  for finger in pairs(fingers) do out.fingers[finger] = list_of((words.fingers or {})[finger]) or {} end
  return out
end

--- All tables of this generation: rigs by the names of their files, and the words. Raises for a table that is no good.
---@return { rigs: stance.rig[], words: table }
function M.all()
  local out = { rigs = {} }
  for _, script in ipairs(host.scripts()) do
    local name = script.path:match "^retarget/rigs/([%w_-]+)%.lua$"
    if name then
      local table_ = require("retarget.rigs." .. name)
      local made, why
      if type(table_) == "table" and table_.words then
        made, why = expand_words(table_)
        out.words = made
      else
        made, why = M.expand(table_)
        out.rigs[#out.rigs + 1] = made
      end
      if not made then error(("retarget/rigs/%s.lua %s"):format(name, why), 0) end
    end
  end
  return out
end

--- What was found out about a body's skeleton, for people: a line a bone, then what is missing.
---@param report stance.scene_report
---@return string
function M.describe(report)
  local lines, missing = { ("rig: %s, %d bones"):format(report.rig, #report.bones) }, {}
  for _, bone in ipairs(report.bones) do
    lines[#lines + 1] = ("  %-24s %-32s by %s"):format(bone.bone, bone.joint, bone.how)
  end
  for _, bone in ipairs(report.missing) do missing[#missing + 1] = bone end
  if #missing > 0 then lines[#lines + 1] = "missing: " .. table.concat(missing, ", ") end
  return table.concat(lines, "\n")
end

return M
