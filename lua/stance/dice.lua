--- dice.lua - numbers that look random and that a seed decides, each by its name.
---
--- A number depends on the seed, on its name and on nothing else: not on what was drawn before, nor on the machine. So
--- the thousandth camera is made without the 999 before it, and a new question leaves the answers to the old ones alone.
---
---     local roll = dice.new(seed, 1000)
---     local azimuth, lens = roll:between("azimuth", 0, 360), roll:pick("lens", { 35, 50, 85 })
---
--- Hash: murmur3's finaliser over seed, names and counters.
local bit = require "bit"

local M = {}

---@class stance.dice
local Dice = {}
Dice.__index = Dice

--- The low 32 bits of a product; its halves stay below 2^53.
local function multiply(a, b)
  local low, high = bit.band(a, 0xffff), bit.rshift(a, 16)
  b = b % 2 ^ 32
  return bit.tobit((low * b + (high * b % 65536) * 65536) % 2 ^ 32)
end

local function mix(hash, word)
  hash = bit.tobit(bit.bxor(hash, word) + 0x9e3779b9)
  hash = multiply(bit.bxor(hash, bit.rshift(hash, 16)), 0x85ebca6b)
  hash = multiply(bit.bxor(hash, bit.rshift(hash, 13)), 0xc2b2ae35)
  return bit.bxor(hash, bit.rshift(hash, 16))
end

local function mix_key(hash, key)
  if type(key) == "number" then return mix(mix(hash, bit.tobit(key % 2 ^ 32)), bit.tobit(math.floor(key / 2 ^ 32) % 2 ^ 32)) end
  for i = 1, #key do hash = mix(hash, key:byte(i)) end
  return mix(hash, #key)
end

--- Dice of a seed; further keys (numbers, names) make others of the same seed.
---@param seed integer 0 to 2^53
---@param ... integer|string
---@return stance.dice
function M.new(seed, ...)
  if type(seed) ~= "number" or seed < 0 or seed > 2 ^ 53 or seed ~= math.floor(seed) then
    error("a seed must be a whole number from 0 to 2^53", 2)
  end
  local hash = mix_key(0, seed)
  for i = 1, select("#", ...) do hash = mix_key(hash, (select(i, ...))) end
  return setmetatable({ hash = hash }, Dice)
end

--- 0 up to, not including, 1: one of 2^52 values.
---@param name string
---@return number
function Dice:number(name)
  local hash = mix_key(self.hash, name)
  local low, high = mix(hash, 1) % 2 ^ 26, mix(hash, 2) % 2 ^ 26
  return (high * 2 ^ 26 + low) / 2 ^ 52
end

--- Evenly from `low` up to `high`.
---@param name string
---@param low number
---@param high number
---@return number
function Dice:between(name, low, high) return low + (high - low) * self:number(name) end

--- A whole number from `low` to `high`, both possible.
---@param name string
---@param low integer
---@param high integer
---@return integer
function Dice:integer(name, low, high) return low + math.floor(self:number(name) * (high - low + 1)) end

--- One of a list.
---@generic T
---@param name string
---@param list T[]
---@return T
function Dice:pick(name, list) return list[self:integer(name, 1, #list)] end

--- True with this probability.
---@param name string
---@param probability number
---@return boolean
function Dice:chance(name, probability) return self:number(name) < probability end

return M
