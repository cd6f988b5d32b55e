--- virtual/random.lua - numbers that look random and that a seed decides (sfc32, by Chris Doty-Humphrey).
local bit = require "bit"

local M = {}

---@class stance.virtual.random
local Random = {}
Random.__index = Random

---@param seed integer
---@return stance.virtual.random
function M.new(seed)
  local self = setmetatable({ a = bit.tobit(seed), b = bit.tobit(math.floor(seed / 2 ^ 32)), c = bit.tobit(0x9e3779b9), count = 1 }, Random)
  for _ = 1, 12 do self:next() end -- small seeds differ in few bits; this spreads them
  return self
end

---@return integer 0 to 2^32 - 1
function Random:next()
  local sum = bit.tobit(self.a + self.b + self.count)
  self.count = bit.tobit(self.count + 1)
  self.a = bit.bxor(self.b, bit.rshift(self.b, 9))
  self.b = bit.tobit(self.c + bit.lshift(self.c, 3))
  self.c = bit.tobit(bit.rol(self.c, 21) + sum)
  return sum % 2 ^ 32
end

--- At least `low`, less than `high`.
function Random:number(low, high) return low + (high - low) * (self:next() / 2 ^ 32) end

--- `low` to `high`, both included.
---@return integer
function Random:integer(low, high) return low + math.floor((high - low + 1) * (self:next() / 2 ^ 32)) end

---@param probability number 0 never, 1 always
---@return boolean
function Random:chance(probability) return self:next() / 2 ^ 32 < probability end

---@generic T
---@param list T[]
---@return T
function Random:pick(list) return list[self:integer(1, #list)] end

---@param count integer
---@return string
function Random:bytes(count)
  local bytes = {}
  for i = 1, count do bytes[i] = string.char(self:integer(0, 255)) end
  return table.concat(bytes)
end

--- A stream of its own: what is drawn from it does not change what comes from this one.
---@return stance.virtual.random
function Random:fork() return M.new(self:next() + self:next() * 2 ^ 20) end

return M
