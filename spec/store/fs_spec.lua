local fs, objects, fiber, crypto = require "fs", require "objects", require "fiber", require "crypto"

--- Where each case may write, and its folder's absolute path.
local folder, absolute

local function code_of(result, err)
  assert.is_nil(result)
  return err.code
end

describe("fs", function()
  before_each(function()
    folder = "data:spec-" .. crypto.hex(crypto.random(6))
    assert(fs.mkdir(folder))
    for _, root in ipairs(fs.roots()) do
      if root.name == "data" then absolute = root.folder .. "/" .. folder:sub(6) end
    end
  end)

  it("writes and reads files", function()
    assert.is_true(fs.write(folder .. "/a.txt", "one"))
    assert.are.equal("one", fs.read(folder .. "/a.txt"))
    assert.are.equal("one", fs.read(absolute .. "/a.txt"))
    assert.is_true(fs.write(folder .. "/a.txt", ""))
    assert.are.equal("", fs.read(folder .. "/a.txt"))
    assert.is_true(fs.write(folder .. "/zero\tname", "a\0b"))
    assert.are.equal("a\0b", fs.read(folder .. "/zero\tname"))
    assert.are.equal("too_large", code_of(fs.read(folder .. "/zero\tname", 2)))
  end)

  it("lists, renames and removes", function()
    assert(fs.mkdir(folder .. "/b/c"))
    assert(fs.write(folder .. "/a", "12345"))
    local entries = assert(fs.list(folder))
    assert.are.equal(2, #entries)
    assert.are.equal("a", entries[1].name)
    assert.are.equal("file", entries[1].kind)
    assert.are.equal(5, entries[1].size)
    assert.is_true(entries[1].modified > 1e9)
    assert.are.equal("folder", entries[2].kind)
    assert.are.equal("folder", assert(fs.stat(folder)).kind)
    assert.is_true(fs.rename(folder .. "/a", folder .. "/b/c/d"))
    assert.are.equal("12345", fs.read(folder .. "/b/c/d"))
    assert.are.equal("exists", code_of(fs.remove(folder .. "/b")))
    assert.is_true(fs.remove(folder .. "/b/c/d"))
    assert.is_true(fs.remove(folder .. "/b/c"))
    assert.is_true(fs.remove(folder .. "/b"))
    assert.are.same({}, fs.list(folder))
  end)

  it("says what is wrong with a path", function()
    for path, code in pairs {
      [folder .. "/none"] = "not_found",
      [folder] = "invalid",
      ["data:../../etc/passwd"] = "denied",
      ["nowhere:file"] = "not_found",
      ["file"] = "invalid",
    } do
      assert.are.equal(code, code_of(fs.read(path)), path)
    end
    assert.are.equal("denied", code_of(fs.write("data:../spec-escape", "x")))
    assert.are.equal("denied", code_of(fs.mkdir("data:../spec-escape")))
    assert.are.equal("denied", code_of(fs.rename(folder, "data:../../spec-escape")))
    assert.are.equal("denied", code_of(fs.copy_object(assert(objects.put("x")).hash, "data:../../spec-escape")))
    assert.has_error(function() fs.read("data:a\0b") end)
    assert.has_error(function() fs.open(folder .. "/a", "a") end)
  end)

  it("reads an open file in pieces", function()
    assert(fs.write(folder .. "/a", "0123456789"))
    local file = assert(fs.open(folder .. "/a"))
    assert.are.equal("0123", file:read(4))
    assert.are.equal("456789", file:read(100))
    assert.is_nil(file:read(1))
    assert.has_error(function() file:write("x") end)
    file:close()
  end)

  it("puts a written file in place when it is closed", function()
    assert(fs.write(folder .. "/a", "old"))
    local file = assert(fs.open(folder .. "/a", "w"))
    assert(file:write("new "))
    assert(file:write("text"))
    assert.are.equal(8, file:size())
    assert.are.equal("old", fs.read(folder .. "/a"))
    assert.has_error(function() file:read(1) end)
    assert.is_true(file:close())
    assert.are.equal("new text", fs.read(folder .. "/a"))
  end)

  it("forgets a written file that is discarded or dropped", function()
    local file = assert(fs.open(folder .. "/a", "w"))
    assert(file:write("x"))
    file:discard()
    file:discard()
    file = assert(fs.open(folder .. "/b", "w"))
    assert(file:write("x"))
    file = nil -- luacheck: ignore
    collectgarbage()
    assert.are.same({}, fs.list(folder))
  end)

  it("lets one fiber at a time use a file", function()
    local file = assert(fs.open(folder .. "/a", "w"))
    local other = fiber.spawn(function() return file:write(("x"):rep(1000000)) end)
    local result, err = file:write("y")
    if not result then assert.are.equal("busy", err.code) end
    other:join()
    file:discard()
  end)

  it("writes objects out", function()
    local object = assert(objects.put(("bytes "):rep(100000)))
    assert.is_true(fs.copy_object(object.hash, folder .. "/out.bin"))
    assert.are.equal(object.hash, crypto.sha256(assert(fs.read(folder .. "/out.bin"))))
    assert.are.equal("not_found", code_of(fs.copy_object(("0"):rep(64), folder .. "/x")))
  end)
end)
