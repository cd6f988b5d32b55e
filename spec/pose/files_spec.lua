local files = require "stance.pose.files"

describe("the files of stance pose", function()
  local folder

  local function write(name, text)
    os.execute(("mkdir -p \"$(dirname '%s/%s')\""):format(folder, name))
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text or "")
    file:close()
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
  end)

  after_each(function() os.execute(("chmod -R u+w %s && rm -r %s"):format(folder, folder)) end)

  local function find(names, frames)
    local operands = {}
    for i, name in ipairs(names) do operands[i] = { name = name, path = name == "." and folder or folder .. "/" .. name } end
    return files.find(operands, frames or false)
  end

  local function stems(found)
    local out = {}
    for i, item in ipairs(found.items) do out[i] = item.kind .. " " .. item.stem end
    return out
  end

  it("are those of folders and those below, by name, numbers by their value", function()
    for _, name in ipairs { "b10.jpg", "b9.PNG", "b010.webp", "a.txt", "deep/er/walk.mp4", "deep/x.jpeg", ".hidden.jpg", "labels.json" } do
      write(name)
    end
    local found = find { "." }
    assert.same({ "photo b9", "photo b10", "photo b010", "film deep/er/walk", "photo deep/x" }, stems(found))
    assert.equal("./deep/er/walk.mp4", found.items[4].name)
    assert.same({ 0, 2 }, { #found.failures, found.passed_over })
  end)

  it("are told by their first bytes where a name tells nothing", function()
    write("picture", "\137PNG\r\n\26\n" .. ("\0"):rep(60))
    write("notes.txt", "Dear reader")
    write("clip.MOV")
    assert.same({ "photo picture", "film notes", "film clip" }, stems(find { "picture", "notes.txt", "clip.MOV" }))
  end)

  it("of folders are no programs that are called like films", function()
    write("index.ts", "export {}")
    assert.same({ 0, 1 }, { #find({ "." }).items, find({ "." }).passed_over })
    assert.same({ "film index", true }, { stems(find { "index.ts" })[1], find({ "index.ts" }).items[1].guessed })
  end)

  it("count once", function()
    write "a.jpg"
    assert.same({ "photo a" }, stems(find { "a.jpg", ".", "a.jpg" }))
  end)

  it("have stems of their own", function()
    for _, name in ipairs { "a.jpg", "a.png", "A.webp", "sub/a.jpg", "sub/..jpg" } do write(name) end
    assert.same({ "photo A", "photo a-2", "photo a-3" }, stems(find { "A.webp", "a.jpg", "a.png" }))
    assert.same({ "photo A", "photo a-2", "photo a-3", "photo sub/a" }, stems(find { "." }))
  end)

  it("that are not there fail, the others do not", function()
    write "a.jpg"
    local found = find { "missing.jpg", "a.jpg" }
    assert.same({ "photo a" }, stems(found))
    assert.same({ "missing.jpg", "not_found" }, { found.failures[1].name, found.failures[1].err.code })
  end)

  it("follow links to files and not those to folders", function()
    write "real/a.jpg"
    os.execute(("cd %s && mkdir in && ln -s ../real/a.jpg in/b.jpg && ln -s . in/round && ln -s nowhere in/c.jpg"):format(folder))
    local found = find { "in" }
    assert.same({ "photo b" }, stems(found))
    assert.same({ "in/c.jpg" }, { found.failures[1] and found.failures[1].name })
  end)

  it("are nothing in an empty folder", function()
    local found = find { "." }
    assert.same({ {}, {}, 0 }, { found.items, found.failures, found.passed_over })
  end)

  it("of a folder are the frames of a film when asked", function()
    for _, name in ipairs { "walk/f2.jpg", "walk/f10.jpg", "walk/f1.jpg", "walk/notes.txt", "walk/sub/f3.jpg", "none/x.txt" } do
      write(name)
    end
    local found = find({ "walk/", "none" }, true)
    assert.same({ "frames walk" }, stems(found))
    local names = {}
    for i, path in ipairs(found.items[1].frames) do names[i] = path:match "[^/]*$" end
    assert.same({ "f1.jpg", "f2.jpg", "f10.jpg" }, names)
    assert.equal("none", found.failures[1].name)
  end)
end)

describe("natural order", function()
  for _, case in ipairs { { "a2", "a10" }, { "a", "a1" }, { "a1b2", "a1b10" }, { "2", "10" }, { "b", "c" }, { "a9", "b1" },
    { "x99999999999999999998", "x99999999999999999999" }, { "1a", "1b" }, { "a01", "a1" } } do
    it(("has %s before %s"):format(unpack(case)), function()
      assert.is_true(files.natural_less(case[1], case[2]))
      assert.is_false(files.natural_less(case[2], case[1]))
    end)
  end

  it("has nothing before itself", function() assert.is_false(files.natural_less("a1", "a1")) end)
end)
