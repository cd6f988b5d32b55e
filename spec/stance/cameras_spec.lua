local cameras = require "stance.cameras"

local box = { min = { -0.5, 0, -0.5 }, max = { 0.5, 2, 0.5 } }

local function span(a, b)
  return math.sqrt((a[1] - b[1]) ^ 2 + (a[2] - b[2]) ^ 2 + (a[3] - b[3]) ^ 2)
end

local function near_point(expected, actual, tolerance)
  for i = 1, 3 do assert.near(expected[i], actual[i], tolerance or 1e-9) end
end

describe("cameras", function()
  describe("of a box", function()
    it("stand as far away as the old pipeline's formula says", function()
      assert.near(math.sqrt(6), cameras.bbox_diagonal(box), 1e-12)
      assert.near(math.sqrt(6) / 2 / math.tan(math.rad(25)) * 1.2, cameras.distance(box), 1e-12)
      assert.near(math.sqrt(6) / 2 / math.tan(math.rad(30)), cameras.distance(box, { fov = 60, padding = 1 }), 1e-12)
    end)

    it("stand further away where the picture is narrow", function()
      assert.near(cameras.distance(box) * 2, cameras.distance(box, { size = { 256, 512 } }), 1e-9)
      assert.near(cameras.distance(box), cameras.distance(box, { size = { 1024, 512 } }), 1e-9)
    end)

    it("are framed from 45 degrees to its right", function()
      local camera = cameras.framed { box = box }
      local d = cameras.distance(box) * math.sqrt(0.5)
      near_point({ -d, 1, d }, camera.position)
      near_point({ 0, 1, 0 }, camera.target)
      assert.same({ 45, 50 }, { camera.azimuth, camera.fov })
    end)

    it("see around several", function()
      assert.same({ min = { -0.5, -1, -0.5 }, max = { 3, 2, 0.5 } }, cameras.union { box, { min = { 0, -1, 0 }, max = { 3, 0, 0 } } })
    end)
  end)

  it("know lenses by field of view and by focal length", function()
    assert.near(39.5978, cameras.fov(50), 1e-4) -- a square of a sensor 36 mm wide
    assert.near(26.9915, cameras.fov(50, 36, { 1500, 1000 }), 1e-4)
    assert.near(50, cameras.focal(cameras.fov(50, 23, { 640, 480 }), 23, { 640, 480 }), 1e-9)
    assert.near(cameras.fov(85), cameras.framed({ box = box, focal = 85 }).fov, 1e-12)
  end)

  describe("of a ring", function()
    it("stand at equal steps, from the front to the right", function()
      local set = cameras.ring { target = { 0, 1, 0 }, distance = 3.5, height = 1.6 }
      assert.equal(8, set.count)
      near_point({ 0, 1.6, 3.5 }, set:at(1).position)
      near_point({ -3.5, 1.6, 0 }, set:at(3).position)
      for i, camera in ipairs(set:list()) do assert.near(45 * (i - 1), camera.azimuth, 1e-9) end
    end)

    it("stand higher by their elevation", function()
      local camera = cameras.ring({ target = { 1, 1, 1 }, distance = 2, elevation = 30 }):at(1)
      near_point({ 1, 2, 1 + math.sqrt(3) }, camera.position)
    end)
  end)

  describe("of a sphere", function()
    it("by Fibonacci are all as far away, and spread", function()
      local set, up = cameras.sphere { box = box, count = 500 }, 0
      local list = set:list()
      for i, camera in ipairs(list) do
        assert.near(cameras.distance(box), span(camera.position, camera.target), 1e-9)
        if camera.position[2] > 1 then up = up + 1 end
        local nearest = 1 / 0
        for j, other in ipairs(list) do
          if i ~= j then nearest = math.min(nearest, span(camera.position, other.position)) end
        end
        -- The mean place on a sphere for each of 500 is a circle of radius 2 r / sqrt(500).
        assert.is_true(nearest > cameras.distance(box) * 0.09, "cameras stand close together")
      end
      assert.equal(250, up)
    end)

    it("keep to the elevations asked for", function()
      for camera in cameras.sphere({ box = box, count = 50, elevation = { 10, 40 } }):each() do
        assert.is_true(camera.elevation >= 10 and camera.elevation <= 40)
      end
      local set = cameras.sphere { box = box, method = "latlong", rings = 3, sectors = 4, elevation = { -30, 30 } }
      assert.equal(12, set.count)
      assert.same({ -30, 0 }, { set:at(1).elevation, set:at(1).azimuth })
      assert.same({ 30, 270 }, { set:at(12).elevation, set:at(12).azimuth })
    end)
  end)

  it("of a grid go along x, then y, then z", function()
    local set = cameras.grid { from = { -1, 1, 3 }, to = { 1, 2, 3 }, counts = { 3, 2, 1 }, box = box }
    assert.equal(6, set.count)
    near_point({ -1, 1, 3 }, set:at(1).position)
    near_point({ 0, 1, 3 }, set:at(2).position)
    near_point({ 1, 2, 3 }, set:at(6).position)
    near_point({ 0, 1, 0 }, set:at(6).target)
  end)

  describe("of a path", function()
    local points = { { position = { 0, 1, 4 } }, { position = { 2, 1, 3 } }, { position = { 4, 2, 0 }, fov = 30 } }

    it("go through its points", function()
      local set = cameras.path { points = points, count = 5, target = { 0, 1, 0 } }
      near_point({ 0, 1, 4 }, set:at(1).position)
      near_point({ 2, 1, 3 }, set:at(3).position)
      near_point({ 4, 2, 0 }, set:at(5).position)
      assert.near(30, set:at(5).fov, 1e-9)
      assert.near(50, set:at(3).fov, 1e-9)
    end)

    it("are smooth: no step is much longer than its neighbours", function()
      local last, before
      for camera in cameras.path({ points = points, count = 101, target = { 0, 1, 0 } }):each() do
        local step = last and span(camera.position, last)
        if before then assert.near(before, step, 0.004) end
        last, before = camera.position, step
      end
    end)

    it("take their pictures at the points' times", function()
      local set = cameras.path { count = 4, target = { 0, 0, 0 }, points = { { position = { 0, 0, 1 }, time = 1 },
        { position = { 3, 0, 1 }, time = 4 } } }
      assert.near(2, set:at(2).time, 1e-12)
      near_point({ 1, 0, 1 }, set:at(2).position)
    end)

    it("know where they are a frame later", function()
      local set = cameras.path { count = 4, target = { 0, 0, 0 }, fps = 10, points = { { position = { 0, 0, 1 }, time = 1 },
        { position = { 3, 0, 1 }, time = 4 } } }
      near_point({ 1.1, 0, 1 }, set:at(2).next.position)
      near_point({ 0, 0, 0 }, set:at(2).next.target)
    end)

    it("refuse times that do not rise", function()
      assert.error_matches(function()
        cameras.path { count = 2, target = { 0, 0, 0 }, points = { { position = { 0, 0, 1 }, time = 1 },
          { position = { 0, 0, 2 }, time = 1 } } }
      end, "points%[2%].time")
    end)
  end)

  describe("by chance", function()
    local options = { box = box, count = 100000, seed = 5, fov = { 35, 60 }, roll = { -5, 5 }, jitter = 0.02, time = { 0, 3 } }

    it("are those of their seed and number, whatever else was made", function()
      local set, again = cameras.random(options), cameras.random(options)
      local late = set:at(99999)
      again:at(1)
      assert.same(late, again:at(99999))
      options.seed = 6
      assert.not_same(late, cameras.random(options):at(99999))
      options.seed = 5
    end)

    it("stay in their ranges and fill them", function()
      local low, high, right = 100, 0, 0
      for camera in cameras.random({ box = box, count = 2000, fov = { 35, 60 }, elevation = { 0, 30 } }):each() do
        low, high = math.min(low, camera.fov), math.max(high, camera.fov)
        assert.is_true(camera.elevation >= 0 and camera.elevation <= 30)
        if camera.azimuth < 180 then right = right + 1 end
      end
      assert.is_true(low >= 35 and low < 35.2 and high <= 60 and high > 59.8)
      assert.near(1000, right, 100)
    end)

    it("take their numbers from the seed's dice, which no machine changes", function()
      local camera = cameras.random(options):at(7)
      local roll = require("stance.dice").new(5, "cameras", 7)
      assert.equal(roll:between("azimuth", 0, 360) % 360, camera.azimuth)
    end)
  end)

  describe("in time", function()
    it("are each at each moment", function()
      local set = cameras.at_times(cameras.ring { box = box, count = 3 }, { 0, 0.5 })
      assert.equal(6, set.count)
      assert.same({ "view_1_0001", 0 }, { set:at(1).name, set:at(1).time })
      assert.same({ "view_3_0002", 0.5 }, { set:at(6).name, set:at(6).time })
    end)

    it("take frames as command lines write them", function()
      assert.same({ 0, 1, 2 }, (cameras.frames("0:90:30", 30)))
      assert.same({ 0.5 }, (cameras.frames("5", 10)))
      assert.same({ 0, 0.1, 0.7 }, (cameras.frames("0:2, 7", 10)))
      for _, bad in ipairs { "", "x", "1:", "1:2:0", "1:2:3:4", "-1", "3:1" } do
        local times, why = cameras.frames(bad, 10)
        assert.is_nil(times, bad)
        assert.is_string(why)
      end
    end)

    it("follow what moves", function()
      local function where(time) return { time, 1, 0 } end
      local ring = cameras.ring { box = box, count = 2, time = 2 }
      local set = cameras.track(ring, where)
      near_point({ 2, 1, 0 }, set:at(1).target)
      near_point(ring:at(1).position, set:at(1).position)
      near_point({ ring:at(1).position[1] + 2, 1, ring:at(1).position[3] }, cameras.track(ring, where, { follow = true }):at(1).position)
    end)
  end)

  describe("of a file", function()
    it("are what was written", function()
      local ring = cameras.ring { box = box, count = 3, lens = { distortion = { 0.1, 0, 0, 0, 0 } } }
      assert.same(ring:list(), assert(cameras.decode(cameras.encode(ring))):list())
    end)

    it("of NeRF programs look along -z", function()
      local set = assert(cameras.decode [=[{"camera_angle_x": 1.0, "w": 640, "h": 480, "k1": 0.1, "frames": [
        {"file_path": "./images/a_01.png", "transform_matrix": [[1,0,0,1],[0,1,0,2],[0,0,1,3],[0,0,0,1]]}]}]=])
      local camera = set:at(1)
      assert.same({ "a_01", { 640, 480 }, 320, 240 }, { camera.name, camera.size, camera.cx, camera.cy })
      assert.near(320 / math.tan(0.5), camera.fx, 1e-9)
      assert.same({ { 1, 0, 0, -1 }, { 0, -1, 0, 2 }, { 0, 0, -1, 3 } }, camera.camera_from_world)
      assert.equal(0.1, camera.lens.distortion[1])
    end)

    it("are turned where z is up", function()
      local set = assert(cameras.decode('[{"position":[1,2,3],"target":[0,0,1]}]', { up = "z" }))
      near_point({ 1, 3, -2 }, set:at(1).position)
      local text = '[{"camera_from_world":[[1,0,0,0],[0,0,-1,1],[0,1,0,2]],"fx":1,"size":[16,16]}]'
      local m = assert(cameras.decode(text, { up = "z" })):at(1).camera_from_world
      -- The world's z (0, 0, 1) is y here; both go to the same place in the camera.
      assert.same({ 0, -1, 0 }, { m[1][2], m[2][2], m[3][2] })
    end)

    it("of COLMAP have its poses and lenses", function()
      local set = assert(cameras.colmap("# head\n1 OPENCV 640 480 500 510 320 240 0.1 -0.2 0.01 0\n",
        "# head\n1 0.7071067811865476 0 0.7071067811865476 0 1 2 3 1 sub/a.jpg\n1 2 3\n2 1 0 0 0 0 0 0 1 b.png\n\n"))
      assert.equal(2, set.count)
      local camera = set:at(1)
      assert.same({ "sub_a", 500, 510 }, { camera.name, camera.fx, camera.fy })
      near_point({ 0, 0, 1 }, camera.camera_from_world[1], 1e-12) -- a quarter turn around y
      assert.equal(1, camera.camera_from_world[1][4])
      assert.same({ 0.1, -0.2, 0.01, 0, 0 }, camera.lens.distortion)
      assert.same({ 1, 0, 0, 0 }, set:at(2).camera_from_world[1])
    end)

    it("with z up is refused where a place is none", function()
      for what, text in pairs { ["cameras%[1%]%.target%[3%]"] = "[1,2]", ["cameras%[1%]%.target%[1%]"] = "7" } do
        local set, err = cameras.decode('[{"position":[1,2,3],"target":' .. text .. "}]", { up = "z" })
        assert.is_nil(set)
        assert.matches(what .. " must be a number", err.message)
      end
    end)

    for text, what in pairs {
      ["{"] = "JSON", ["3"] = "list", ["[]"] = "no cameras", ['[{"position":[0,0,0]}]'] = "cameras%[1%]",
      ['{"frames":[{"w":1,"h":1}]}'] = "fl_x", ['{"frames":[{"w":1,"h":1,"fl_x":1}]}'] = "frames%[1%].transform_matrix",
    } do
      it("is refused with what is wrong: " .. text, function()
        local set, err = cameras.decode(text)
        assert.is_nil(set)
        assert.equal("invalid", err.code)
        assert.matches(what, err.message)
      end)
    end
  end)

  it("say what they lack", function()
    assert.error_matches(function() cameras.ring {} end, "a box to frame, or a target and a distance")
    assert.error_matches(function() cameras.center { min = { 1 } } end, "box must be")
    assert.error_matches(function() cameras.ring({ box = box }):at(9) end, "the set has 8")
    assert.error_matches(function() cameras.sphere { box = box, elevation = { 50, 10 } } end, "elevation")
    assert.error_matches(function() cameras.random { box = box, count = 1, seed = -1 } end, "seed")
    assert.error_matches(function() cameras.random { box = box, count = 1, fov = "wide" } end, "fov must be a number, or a list of two")
    assert.error_matches(function() cameras.random { box = box, count = 1, roll = { 1 } } end, "roll must be a number, or a list of two")
    assert.error_matches(function() cameras.ring { box = box, count = "eight" } end, "count must be a number")
    assert.error_matches(function() cameras.ring { box = box, size = 512 } end, "size must be a list of two numbers")
    assert.error_matches(function() cameras.ring(8) end, "options of cameras must be a table")
    assert.error_matches(function() cameras.grid { from = { 0, 0, 0 }, to = { 1, 1, 1 }, counts = { 2 }, box = box } end, "counts")
    assert.error_matches(function() cameras.path { points = { 1, 2 }, count = 2 } end, "points%[1%] must be a table")
  end)
end)
