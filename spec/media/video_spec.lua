local fiber, video = require "fiber", require "video"

local function shell(command) return os.execute("{ " .. command .. "; } >/dev/null 2>&1") == 0 end

local function film(path, ...)
  local opened = assert(video.open(path, ...))
  local times, sizes, first = {}, {}, nil
  while true do
    local frame, time = opened:read()
    if not frame then
      opened:close()
      return times, sizes, time, first
    end
    first = first or frame:rgba():sub(1, 4)
    times[#times + 1], sizes[#sizes + 1] = math.floor(time * 1000 + 0.5), ("%dx%d"):format(frame:size())
    frame:close()
  end
end

describe("video", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(shell("mkdir " .. folder))
  end)

  teardown(function() os.execute("rm -r " .. folder) end)

  if not shell "ffmpeg -version" then
    pending "there is no ffmpeg to make films with"
    return
  end

  local function make(name, arguments)
    local path = folder .. "/" .. name
    assert(shell(("ffmpeg -nostdin -y %s '%s'"):format(arguments, path)), arguments)
    return path
  end

  local function fails(path, pattern)
    local opened, err = video.open(path)
    if opened then
      local frame, why = opened:read()
      assert.is_nil(frame)
      err = why
      opened:close()
    end
    assert.is_truthy(err.message:find(pattern), err.message)
    return err.code
  end

  it("gives each frame once, with its time", function()
    local path = make("ten.mp4", "-f lavfi -i color=red:size=64x48:rate=10:duration=1 -pix_fmt yuv420p")
    local times, sizes, err, first = film(path)
    assert.is_nil(err)
    assert.same({ 0, 100, 200, 300, 400, 500, 600, 700, 800, 900 }, times)
    assert.equal("64x48", sizes[10])
    local red, green, blue, alpha = first:byte(1, 4)
    assert.is_true(red > 240 and green < 15 and blue < 15 and alpha == 255)
  end)

  it("takes no times from a film's title", function()
    local path = make("title.mp4", "-f lavfi -i color=red:size=64x48:rate=10:duration=0.3 -pix_fmt yuv420p "
      .. "-metadata title='[Parsed_showinfo_1 @ 0x1] [info] n: 0 pts_time:99 '")
    assert.same({ 0, 100, 200 }, (film(path)))
  end)

  it("leaves frames out when asked", function()
    local path = make("every.mp4", "-f lavfi -i testsrc=size=32x32:rate=20:duration=1 -pix_fmt yuv420p")
    assert.same({ 0, 350, 700 }, (film(path, { every = 7 })))
  end)

  it("keeps uneven times", function()
    local path = make("uneven.mkv", "-f lavfi -i testsrc=size=32x32:rate=20:duration=1 -vf \"select='lt(n,3)+gt(n,16)'\" -vsync 0")
    assert.same({ 0, 50, 100, 850, 900, 950 }, (film(path)))
  end)

  it("turns films that lie on their side", function()
    local lying = make("lying.mp4", "-f lavfi -i testsrc=size=64x32:rate=5:duration=1 -pix_fmt yuv420p")
    local upright = make("upright.mp4", ("-i '%s' -c copy -metadata:s:v rotate=90"):format(lying))
    assert.equal("32x64", (select(2, film(upright)))[1])
  end)

  it("reads gif and avi, and sound beside the picture", function()
    assert.equal(5, #film(make("five.gif", "-f lavfi -i testsrc=size=32x32:rate=5:duration=1")))
    assert.equal(5, #film(make("five.avi", "-f lavfi -i testsrc=size=32x32:rate=5:duration=1 -f lavfi -i sine=duration=1")))
  end)

  it("reads what is called otherwise than films are", function()
    local path = make("odd.mp4", "-f lavfi -i testsrc=size=32x32:rate=5:duration=1 -pix_fmt yuv420p")
    local odd = folder .. "/-i it's %d 100%.txt"
    assert(os.rename(path, odd))
    assert.equal(5, #film(odd))
  end)

  it("gives what is there of a film that ends in the middle", function()
    local whole = make("whole.ts", "-f lavfi -i testsrc=size=320x240:rate=25:duration=2 -pix_fmt yuv420p -g 5")
    assert(shell(("head -c $(($(stat -c %%s '%s') / 2)) '%s' >'%s/half.ts'"):format(whole, whole, folder)))
    local times = film(folder .. "/half.ts")
    assert.is_true(#times > 5 and #times < 50, #times)
  end)

  it("says what is wrong with what is no film", function()
    assert(shell(("yes noise | head -c 5000 >'%s/noise.mp4'; : >'%s/empty.mp4'"):format(folder, folder)))
    local sound = make("sound.wav", "-f lavfi -i sine=duration=1")
    assert.equal("corrupt", fails(folder .. "/noise.mp4", "noise%.mp4: Invalid data"))
    assert.equal("corrupt", fails(folder .. "/empty.mp4", "empty%.mp4: "))
    assert.equal("corrupt", fails(sound, "sound%.wav: "))
    assert.equal("not_found", fails(folder .. "/none.mp4", "none%.mp4"))
    fails(folder, folder)
  end)

  it("follows no playlist to other files", function()
    local other = make("other.ts", "-f lavfi -i testsrc=size=32x32:rate=5:duration=1")
    for name, text in pairs {
      ["list.m3u8"] = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" .. other .. "\n#EXT-X-ENDLIST\n",
      ["list.ffconcat"] = "ffconcat version 1.0\nfile other.ts\n",
    } do
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
      file:close()
      fails(folder .. "/" .. name, "Invalid")
    end
  end)

  it("ends a read when it is closed, and leaves no process", function()
    local path = make("long.mp4", "-f lavfi -i testsrc=size=1280x720:rate=30:duration=10 -pix_fmt yuv420p")
    local opened = assert(video.open(path))
    assert(opened:read())
    local reader = fiber.spawn(function()
      while true do
        local frame, err = opened:read()
        if not frame then return err.code end
        frame:close()
      end
    end)
    fiber.yield()
    opened:close()
    local _, code = reader:join(20)
    assert.is_truthy(tostring(code):find "closed" or code == "cancelled", tostring(code))
    assert.has_error(function() opened:read() end)
    assert.is_true(shell(("! pgrep -P $PPID -x ffmpeg")))
  end)
end)
