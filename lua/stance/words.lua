--- words.lua - the word that was probably meant.
local M = {}

--- Letters to change to make one word the other.
---@param a string
---@param b string
---@return integer
function M.distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal
    diagonal, row[0] = row[0], i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

--- The word of a list that was probably meant by `word`, or nil.
---@param word string
---@param known any[]
---@return any|nil
function M.guess(word, known)
  local best, least = nil, math.max(2, math.floor(#word / 3)) + 1
  for _, candidate in ipairs(known) do
    local far = M.distance(word:lower():sub(1, 64), tostring(candidate):lower())
    if far < least then best, least = candidate, far end
  end
  return best
end

return M
