local record = require "stance.pose.record"

local function person(id) return { id = id, landmarks = { { x = id, y = 2, z = 3, visibility = 4 } }, world = {} } end

local function ids(by_place, places)
  local out = {}
  for i = 1, places do out[i] = by_place[i] and by_place[i].id or 0 end
  return out
end

describe("rows of an array", function()
  it("have 33 points of 4 numbers, NaN where nobody is", function()
    assert.same({ { 33, 4 }, { 3, 33, 4 } }, { record.shape(1), record.shape(3) })
    local row = record.row({ [2] = person(7) }, 2, "landmarks")
    assert.equal(2 * 33 * 4, #row)
    assert.is_true(row[1] ~= row[1])
    assert.same({ 7, 2, 3, 4 }, { unpack(row, 133, 136) })
    assert.is_true(row[137] ~= row[137])
  end)

  it("keep a person's place while they are followed", function()
    local place = record.places(2)
    assert.same({ 1, 2 }, ids(place { person(1), person(2) }, 2))
    assert.same({ 1, 2 }, ids(place { person(2), person(1) }, 2))
    assert.same({ 0, 2 }, ids(place { person(2) }, 2))
    assert.same({ 3, 2 }, ids(place { person(2), person(3) }, 2))
    assert.same({ 0, 0 }, ids(place {}, 2))
    assert.same({ 4, 0 }, ids(place { person(4) }, 2))
  end)

  it("leave out who is too many", function()
    assert.same({ 1, 2 }, ids(record.places(2) { person(1), person(2), person(3) }, 2))
  end)
end)
