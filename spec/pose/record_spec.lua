local json, record = require "json", require "stance.pose.record"

local function person(id) return { id = id, score = 0.5, landmarks = { { x = id, y = 2, z = 3, visibility = 4 } }, world = {} } end

local function ids(by_place, places)
  local out = {}
  for i = 1, places do out[i] = by_place[i] and by_place[i].id or 0 end
  return out
end

describe("a line of pose_v1", function()
  local function found(count)
    local people = {}
    for i = 1, count do people[i] = person(i) end
    return { schema = "pose_v1", image = { width = 4, height = 3 }, people = people, detected = true, seq = 1, file = 'a "b".jpg' }
  end

  it("has its members in one order, and an only person's landmarks at the top, too", function()
    local mark = '{"x":1,"y":2,"z":3,"visibility":4}'
    assert.equal('{"schema":"pose_v1","file":"a \\"b\\".jpg","seq":1,"detected":true,"image":{"width":4,"height":3},"people":[' ..
      '{"id":1,"score":0.5,"landmarks":[' .. mark .. '],"world":[]}],"landmarks":[' .. mark .. "]}\n", record.line(found(1)))
  end)

  it("is JSON, with nobody and with several people", function()
    for count = 0, 3 do
      local read = json.decode(record.line(found(count)))
      assert.same({ count, 'a "b".jpg', nil }, { #read.people, read.file, count ~= 1 and read.landmarks or nil })
    end
    assert.is_truthy(record.line(found(0)):find('"people":[]', 1, true))
  end)

  it("keeps every digit that the engine gives", function()
    local one = found(1)
    one.people[1].landmarks[1].x, one.people[1].roi = -1234.567891, { x = 1.5, y = 2, size = 3, rotation = -0.000001 }
    local read = json.decode(record.line(one))
    assert.same({ -1234.56789, -0.000001 }, { read.people[1].landmarks[1].x, read.people[1].roi.rotation })
  end)
end)

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
