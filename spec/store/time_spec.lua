local time = require "time"

describe("time", function()
  it("tells the time", function()
    assert.is_true(math.abs(time.now() - os.time()) < 2)
    local before = time.monotonic()
    assert.is_true(time.monotonic() >= before)
  end)

  it("writes ISO 8601", function()
    for text, when in pairs {
      ["1970-01-01T00:00:00.000Z"] = 0,
      ["1970-01-01T00:00:01.999Z"] = 1.9999,
      ["1969-12-31T23:59:59.500Z"] = -0.5,
      ["2024-02-29T12:34:56.789Z"] = 1709210096.789,
      ["2026-11-20T11:00:00.250Z"] = 1795172400.25,
      ["0000-01-01T00:00:00.000Z"] = -62167219200,
      ["9999-12-31T23:59:59.000Z"] = 253402300799,
    } do
      assert.are.equal(text, time.iso(when))
    end
    for _, when in ipairs { 253402300800, -62167219201, 0 / 0, 1 / 0 } do
      assert.has_error(function() time.iso(when) end)
    end
  end)

  it("reads it back, to the millisecond", function()
    for _, when in ipairs { 0, 0.001, 1795172400.123, 951782399.999, -86400.5, -62167219200, 253402300799 } do
      assert.is_true(math.abs(time.parse_iso(time.iso(when)) - when) < 0.0011)
    end
    for i = 0, 999 do
      local when = 1795172400 + i / 1000
      assert.are.equal(("%03d"):format(i), time.iso(when):sub(21, 23))
    end
  end)

  it("reads the forms of RFC 3339", function()
    for text, when in pairs {
      ["2026-11-20T12:00:00Z"] = 1795176000,
      ["2026-11-20t12:00:00z"] = 1795176000,
      ["2026-11-20 12:00:00.25+01:00"] = 1795172400.25,
      ["2026-11-20T12:00:00,5-0130"] = 1795181400.5,
      ["2026-11-20"] = 1795132800,
      ["2016-12-31T23:59:60Z"] = 1483228800,
      ["2000-02-29T00:00:00Z"] = 951782400,
      ["1900-03-01T00:00:00Z"] = -2203891200,
    } do
      assert.are.equal(when, time.parse_iso(text), text)
    end
  end)

  it("refuses all else", function()
    for _, text in ipairs { "", "now", "2026-11-20T12:00:00", "2026-13-01", "2026-02-29", "1900-02-29", "2026-11-31",
      "2026-11-20T24:00:00Z", "2026-11-20T12:60:00Z", "2026-11-20T12:00:00.Z", "2026-11-20T12:00Z", "2026-11-20T12:00:00Z ",
      "2026-11-20T12:00:00+24:00", "26-11-20", "20261120", "2026-11-20T12:00:00Z\0" } do
      local when, err = time.parse_iso(text)
      assert.is_nil(when, text)
      assert.are.equal("invalid", err.code)
    end
  end)

  it("formats as strftime", function()
    assert.are.equal("20261120_110000", time.format(1795172400.9, "%Y%m%d_%H%M%S"))
    assert.are.equal("", time.format(0, ""))
    assert.are.equal("Thu 001 %", time.format(0, "%a %j %%"))
    assert.has_error(function() time.format(0, ("%c"):rep(200)) end)
  end)
end)
