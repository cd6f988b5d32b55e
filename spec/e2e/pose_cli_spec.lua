local image, json = require "image", require "json"
local support = require "spec.e2e.support"

local binary = support.absolute_binary

--- -> exit code, standard output, standard error of `stance pose ...`, run in `folder`
local function pose(folder, arguments, before)
  local command = ("cd '%s' && %s '%s' pose %s >stdout 2>stderr; echo $?"):format(folder, before or "", binary, arguments)
  local code = tonumber(support.shell(command))
  local function read(name)
    local file = assert(io.open(folder .. "/" .. name, "rb"))
    local text = file:read "*a"
    file:close()
    return text
  end
  return code, read "stdout", read "stderr"
end

local function lines(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do out[#out + 1] = json.decode(line) end
  return out
end

describe("stance pose", function()
  local folder

  before_each(function() folder = support.folder() end)

  after_each(function() support.shell("rm -rf " .. folder) end)

  it("explains itself and what is wrong with a command line", function()
    local code, out = pose(folder, "--help")
    assert.equal(0, code)
    assert.is_truthy(out:find "^  stance pose photo.jpg" and out:find "%-%-overlay DIR")
    for arguments, reason in pairs {
      [""] = "needs a picture, a film or a folder", ["x --modle lite"] = "did you mean %-%-model", ["x -m ful"] = 'did you mean "full"',
      ["x --people 0"] = "1 to 16, not 0", ["x --npy"] = "needs a folder", ["x --every 0"] = "1 to 1000000, not 0",
      ["x --track 0"] = "frames a", ["x --every 4294967297"] = "not 4294967297", ["x caf\233.jpg"] = "not UTF%-8",
      ["x --output caf\233"] = "%-%-output is not UTF%-8", ["x --overlay caf\233"] = "%-%-overlay is not UTF%-8",
      ["x --min-detection 2"] = "0 to 1, not 2", ["x --backend gpu"] = "backend",
    } do
      local status, none, err = pose(folder, arguments)
      assert.same({ 2, "" }, { status, none }, arguments)
      assert.is_truthy(err:find(reason), err)
    end
  end)

  it("says when there is nothing to look at", function()
    local code, out, err = pose(folder, ".")
    assert.same({ 3, "" }, { code, out })
    assert.is_truthy(err:find("no pictures and no films in .", 1, true), err)
    code, out, err = pose(folder, "nobody.jpg")
    assert.same({ 1, "", "stance: nobody.jpg: no such file or directory\n" }, { code, out, err })
  end)

  it("says what gets the models when they are missing", function()
    support.shell(("head -c 100 /dev/zero >'%s/a.jpg'"):format(folder))
    local code, out, err = pose(folder, "a.jpg", "STANCE_MODELS=/nonexistent")
    assert.same({ 3, "" }, { code, out })
    assert.is_truthy(err:find("make models", 1, true) and err:find("/nonexistent", 1, true), err)
  end)

  it("fails clearly when the script gives no verdict", function()
    support.shell(("cp -r '%s' '%s/lua'"):format(os.getenv "STANCE_LUA" or "lua", folder))
    support.write(folder .. "/lua/stance/pose/tool.lua", "return { run = function() return { message = 'well' } end }")
    local code, out, err = pose(folder, "x", ("STANCE_LUA='%s/lua'"):format(folder))
    assert.same({ 1, "" }, { code, out })
    assert.is_truthy(err:find('does not say how it went: {"message":"well"}', 1, true), err)
  end)

  if not require("pose").models()[1].ready then
    pending "the pose models are not here (make models)"
    return
  end

  --- A picture of the mannequin, drawn here.
  local function draw(name)
    local body = assert(require("scene").open "mannequin")
    for view in require("render").ring(body, { angles = 1, size = { 320, 320 } }) do
      support.write(folder .. "/" .. name, assert(view:png()))
    end
    body:close()
  end

  it("tells who is in a picture, and passes over what is none", function()
    draw "in/b.png"
    support.write(folder .. "/in/a.png", "no picture")
    support.write(folder .. "/in/z.jpg", "")
    support.write(folder .. "/in/notes.txt", "Dear reader")
    local code, out, err = pose(folder, "in in/notes.txt")
    assert.equal(1, code)
    assert.is_truthy(out:find "^in/b.png: 1 person  [%d.]+\n1 picture, people in 1: [%d.]+ ms each %(full, cpu", out)
    assert.is_truthy(out:find "; 3 failed\n$", out)
    for _, name in ipairs { "in/a.png: ", "in/z.jpg: ", "in/notes.txt: it is no picture" } do
      assert.is_truthy(err:find("stance: " .. name, 1, true), err)
    end
    assert.is_nil(err:find("\27", 1, true))
  end)

  it("writes pose_v1, arrays and overlays, whatever files are called", function()
    draw "in/x.png"
    assert(os.rename(folder .. "/in/x.png", folder .. "/in/ä b's 100%.png"))
    support.write(folder .. "/in/empty.png", assert(assert(image.new(64, 48, "#336699")):png()))
    local code, out, err = pose(folder, "in --json --npy -o out --overlay seen -m lite")
    assert.same({ 0, "" }, { code, err })
    assert.is_truthy(out:find "^2 pictures, people in 1 in out: ")
    local function read(name)
      local file = assert(io.open(folder .. "/" .. name, "rb"))
      local text = file:read "*a"
      file:close()
      return text
    end
    local found = json.decode(read "out/ä b's 100%.json")
    assert.same({ "pose_v1", 320, 33, 33 }, { found.schema, found.image.width, #found.people[1].landmarks, #found.people[1].world })
    assert.same({ 0, 64 }, { #json.decode(read "out/empty.json").people, json.decode(read "out/empty.json").image.width })
    assert.equal("in/empty.png\nin/ä b's 100%.png\n", read "out/photos.txt")
    for _, name in ipairs { "landmarks", "world" } do
      local bytes = read("out/photos." .. name .. ".npy")
      assert.is_truthy(bytes:find("'shape': (2, 33, 4)", 1, true))
      assert.equal(2 * 33 * 4 * 4, #bytes - 10 - bytes:byte(9) - 256 * bytes:byte(10))
    end
    assert.same({ 320, 320 }, { assert(image.decode(read "seen/ä b's 100%.png")):size() })
    assert.equal("", support.shell(("find '%s' -name '.*' -type f"):format(folder))) -- nothing half done
  end)

  local photo = io.open((os.getenv "STANCE_ASSETS" or "../shared/assets") .. "/images/tfjs_pose.jpg", "rb")

  if photo then
    local one = photo:read "*a"
    photo:close()

    it("finds several people when asked", function()
      local picture = assert(image.decode(one))
      support.write(folder .. "/two.png", assert(assert(image.new(1300, 667)):paste(picture, -150, 0):paste(picture, 500, 0):png()))
      local _, out = pose(folder, "two.png --people 3 --json")
      local people = lines(out)[1].people
      assert.equal(2, #people)
      assert.is_true(people[1].id ~= people[2].id)
      local x1, x2 = people[1].landmarks[1].x, people[2].landmarks[1].x
      assert.is_true(math.min(x1, x2) < 0.4 and math.max(x1, x2) > 0.6, ("%g and %g"):format(x1, x2))
      assert.equal(1, #lines(select(2, pose(folder, "two.png --json")))[1].people)
    end)
  else
    pending "there is no photo in STANCE_ASSETS to make several people of"
  end

  it("says which folder cannot be written", function()
    draw "a.png"
    support.write(folder .. "/file", "")
    local code, _, err = pose(folder, "a.png -o file")
    assert.equal(1, code)
    assert.is_truthy(err:find "file", err)
  end)

  it("ends as filters do when nobody reads its output any more", function()
    draw "p1.png"
    for i = 2, 40 do support.shell(("cp '%s/p1.png' '%s/p%d.png'"):format(folder, folder, i)) end
    support.write(folder .. "/run", ("'%s' pose . --json -m lite 2>err | head -n 1 | wc -l; echo ${PIPESTATUS[0]}"):format(binary))
    assert.equal("1\n141", support.shell(("cd '%s' && bash run"):format(folder)))
    assert.equal("", support.shell(("cat '%s/err'"):format(folder)))
  end)

  local has_ffmpeg = support.shell "command -v ffmpeg || true" ~= ""

  it("needs ffmpeg for films only, and says so", function()
    draw "a.png"
    support.write(folder .. "/film.mp4", "x")
    local code, out, err = pose(folder, "a.png film.mp4", "PATH=/nonexistent")
    assert.equal(1, code)
    assert.is_truthy(out:find "^a.png: 1 person")
    assert.is_truthy(err:find("stance: film.mp4: ffmpeg is needed to read films and is not there: apt install ffmpeg", 1, true), err)
  end)

  if not has_ffmpeg then pending "there is no ffmpeg for the specs of films" return end

  --- A film of the mannequin, who stands still.
  local function film(name, frames)
    draw "still.png"
    local how = "cd '%s' && ffmpeg -nostdin -loglevel error -loop 1 -r 10 -i still.png -frames:v %d -pix_fmt yuv420p '%s'"
    support.shell(how:format(folder, frames, name))
  end

  it("follows films: a line a frame with its time", function()
    film("walk.mp4", 12)
    local code, out, err = pose(folder, "walk.mp4 --json --every 3")
    assert.equal(0, code)
    local found = lines(out)
    assert.equal(4, #found)
    for i, line in ipairs(found) do
      assert.same({ "walk.mp4", i, (i - 1) * 300, 1 }, { line.file, line.seq, line.t_capture_ms, #line.people })
      assert.equal(1, line.people[1].id)
    end
    assert.same({ true, false }, { found[1].detected, found[2].detected })
    assert.is_truthy(err:find "^4 pictures, people in 4: ")
    code, out, err = pose(folder, "walk.mp4 --npy -o arrays --overlay seen")
    assert.same({ 0, "" }, { code, err })
    assert.is_truthy(out:find "^12 pictures, people in 12 in arrays: ", out)
    assert.equal("12", support.shell(("ls '%s/seen/walk' | wc -l"):format(folder)))
    assert.equal("walk.landmarks.npy walk.world.npy", support.shell(("cd '%s/arrays' && echo *"):format(folder)))
  end)

  it("takes a folder of numbered pictures for a film", function()
    draw "frames/f9.png"
    support.shell(("cd '%s/frames' && cp f9.png f10.png && cp f9.png f11.png"):format(folder))
    local code, out = pose(folder, "frames --track 20 --json")
    local found = lines(out)
    assert.same({ 0, 3, 100 }, { code, #found, found[3].t_capture_ms })
    assert.is_false(found[3].detected)
  end)

  it("gives up what is no film, or ends in the middle, with ffmpeg's reason", function()
    film("walk.mp4", 30)
    support.shell(("cd '%s' && head -c 3000 /dev/urandom >noise.mp4 && : >empty.mp4 && head -c 1500 walk.mp4 >half.mp4"):format(folder))
    local code, out, err = pose(folder, "noise.mp4 empty.mp4 half.mp4 walk.mp4 --every 10")
    assert.equal(1, code)
    assert.is_truthy(out:find "walk.mp4: 3 frames, somebody in 3\n3 pictures")
    for _, name in ipairs { "noise", "empty", "half" } do assert.is_truthy(err:find("stance: " .. name .. ".mp4: ", 1, true), err) end
  end)

  it("ends when it is interrupted, and leaves no process and nothing half done", function()
    film("long.mp4", 400)
    support.write(folder .. "/run", ([[
      '%s' pose long.mp4 --npy -o out >log 2>&1 & pid=$!
      until film=$(pgrep -P $pid -x ffmpeg); do sleep 0.02; done
      kill -INT $pid; wait $pid; echo $?
      kill -0 "$film" 2>/dev/null && echo "ffmpeg runs on"]]):format(binary))
    assert.equal("130", support.shell(("cd '%s' && bash run; true"):format(folder)))
    assert.equal("stance: interrupted", support.shell(("cat '%s/log'"):format(folder)))
    assert.equal("", support.shell(("ls -A '%s/out'"):format(folder)))
  end)
end)
