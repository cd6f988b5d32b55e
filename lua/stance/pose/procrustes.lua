--- procrustes.lua - the turn, scale and shift that lay one set of points best on another. No effects.
---
--- B. K. P. Horn, "Closed-form solution of absolute orientation using unit quaternions", J. Opt. Soc. Am. A 4 (1987): the best
--- turn is the unit quaternion that belongs to the largest eigenvalue of a symmetric 4 x 4 matrix made of the products of the
--- centred points. It is never a mirror image, so left and right that were taken for each other are not forgiven.
local M = {}

local sweeps_most, small = 32, 1e-14

local function centre(points)
  local out = { 0, 0, 0 }
  for _, p in ipairs(points) do
    for k = 1, 3 do out[k] = out[k] + p[k] / #points end
  end
  return out
end

--- Sums of products of centred coordinates, and the sum of the squares of `from`.
local function correlate(from, to, from_centre, to_centre)
  local sums, squares = { { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } }, 0
  for i, p in ipairs(from) do
    for a = 1, 3 do
      local x = p[a] - from_centre[a]
      squares = squares + x * x
      for b = 1, 3 do sums[a][b] = sums[a][b] + x * (to[i][b] - to_centre[b]) end
    end
  end
  return sums, squares
end

local function horn_matrix(s)
  local xx, xy, xz = s[1][1], s[1][2], s[1][3]
  local yx, yy, yz = s[2][1], s[2][2], s[2][3]
  local zx, zy, zz = s[3][1], s[3][2], s[3][3]
  return {
    { xx + yy + zz, yz - zy, zx - xz, xy - yx },
    { yz - zy, xx - yy - zz, xy + yx, zx + xz },
    { zx - xz, xy + yx, yy - xx - zz, yz + zy },
    { xy - yx, zx + xz, yz + zy, zz - xx - yy },
  }
end

--- One Jacobi rotation, which makes m[p][q] zero; `vectors` gathers the rotations.
local function rotate(m, vectors, p, q)
  local theta = (m[q][q] - m[p][p]) / (2 * m[p][q])
  local t = (theta >= 0 and 1 or -1) / (math.abs(theta) + math.sqrt(theta * theta + 1))
  local c = 1 / math.sqrt(t * t + 1)
  local s = t * c
  for k = 1, 4 do m[k][p], m[k][q] = c * m[k][p] - s * m[k][q], s * m[k][p] + c * m[k][q] end
  for k = 1, 4 do m[p][k], m[q][k] = c * m[p][k] - s * m[q][k], s * m[p][k] + c * m[q][k] end
  for k = 1, 4 do vectors[k][p], vectors[k][q] = c * vectors[k][p] - s * vectors[k][q], s * vectors[k][p] + c * vectors[k][q] end
end

--- The eigenvector of the largest eigenvalue of a symmetric 4 x 4 matrix, by Jacobi's method. Changes `m`.
local function largest_eigenvector(m)
  local vectors, size = { { 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 }, { 0, 0, 0, 1 } }, 0
  for i = 1, 4 do for k = 1, 4 do size = math.max(size, math.abs(m[i][k])) end end
  for _ = 1, sweeps_most do
    local changed = false
    for p = 1, 3 do
      for q = p + 1, 4 do
        if math.abs(m[p][q]) > small * size then
          rotate(m, vectors, p, q)
          changed = true
        end
      end
    end
    if not changed then break end
  end
  local best = 1
  for i = 2, 4 do if m[i][i] > m[best][best] then best = i end end
  return { vectors[1][best], vectors[2][best], vectors[3][best], vectors[4][best] }
end

local function matrix_of(q)
  local w, x, y, z = q[1], q[2], q[3], q[4]
  return {
    { w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y) },
    { 2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x) },
    { 2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z },
  }
end

--- `from` laid on `to` (as many points, in the same order) with the least sum of squared distances. Nil where that cannot be
--- told: fewer than three points, or all of `from` in one place.
---@param from number[][] x, y, z
---@param to number[][]
---@return number[][]|nil aligned, number|nil scale
function M.align(from, to)
  if #from < 3 or #from ~= #to then return nil end
  local from_centre, to_centre = centre(from), centre(to)
  local sums, squares = correlate(from, to, from_centre, to_centre)
  if squares < 1e-12 then return nil end
  local turn, gain = matrix_of(largest_eigenvector(horn_matrix(sums))), 0
  for a = 1, 3 do for b = 1, 3 do gain = gain + turn[b][a] * sums[a][b] end end
  local scale, out = gain / squares, {}
  for i, p in ipairs(from) do
    local x, y, z = p[1] - from_centre[1], p[2] - from_centre[2], p[3] - from_centre[3]
    out[i] = {}
    for k = 1, 3 do out[i][k] = to_centre[k] + scale * (turn[k][1] * x + turn[k][2] * y + turn[k][3] * z) end
  end
  return out, scale
end

--- The mean distance of two sets of points.
---@param a number[][]
---@param b number[][]
---@return number
function M.mean_distance(a, b)
  local sum = 0
  for i, p in ipairs(a) do
    sum = sum + math.sqrt((p[1] - b[i][1]) ^ 2 + (p[2] - b[i][2]) ^ 2 + (p[3] - b[i][3]) ^ 2)
  end
  return sum / #a
end

return M
