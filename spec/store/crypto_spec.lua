local crypto = require "crypto"

describe("crypto", function()
  it("digests", function()
    assert.are.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", crypto.sha256(""))
    assert.are.equal("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", crypto.sha256("hello"))
    -- FIPS 180-2: a million times "a"; large enough to go to the pool
    assert.are.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", crypto.sha256(("a"):rep(1000000)))
    assert.are.equal(crypto.sha256("hello"), crypto.hex(crypto.sha256_raw("hello")))
  end)

  it("authenticates", function()
    -- RFC 4231, cases 1, 2 and 6
    assert.are.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      crypto.hmac_sha256(("\11"):rep(20), "Hi There"))
    assert.are.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      crypto.hmac_sha256("Jefe", "what do ya want for nothing?"))
    assert.are.equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      crypto.hmac_sha256(("\170"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First"))
    local long = ("x"):rep(200000)
    assert.are.equal(crypto.hmac_sha256("key", long), crypto.hex(crypto.hmac_sha256_raw("key", long)))
    assert.are.equal(64, #crypto.hmac_sha256("", ""))
  end)

  it("gives random bytes and UUIDs", function()
    assert.are.equal(0, #crypto.random(0))
    assert.are.equal(32, #crypto.random(32))
    assert.are_not.equal(crypto.random(16), crypto.random(16))
    assert.is_truthy(crypto.uuid():match("^%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x+$"))
    assert.are.equal(36, #crypto.uuid())
    assert.has_error(function() crypto.random(-1) end)
    assert.has_error(function() crypto.random(1e9) end)
  end)

  it("writes and reads hex", function()
    assert.are.equal("00ff10", crypto.hex("\0\255\16"))
    assert.are.equal("\0\255\16", crypto.unhex("00Ff10"))
    for _, text in ipairs { "0", "0g", "g0", " 0" } do
      local bytes, err = crypto.unhex(text)
      assert.is_nil(bytes)
      assert.are.equal("invalid", err.code)
    end
  end)

  it("writes and reads base64", function()
    -- RFC 4648, section 10
    local plain = { "", "f", "fo", "foo", "foob", "fooba", "foobar" }
    local coded = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }
    for i, text in ipairs(plain) do
      assert.are.equal(coded[i], crypto.base64(text))
      assert.are.equal(text, crypto.unbase64(coded[i]))
      assert.are.equal((coded[i]:gsub("=", "")), crypto.base64url(text))
      assert.are.equal(text, crypto.unbase64url(crypto.base64url(text)))
      assert.are.equal(text, crypto.unbase64url(coded[i]))
    end
    local bytes = crypto.random(1000)
    assert.are.equal(bytes, crypto.unbase64(crypto.base64(bytes)))
    assert.are.equal(bytes, crypto.unbase64url(crypto.base64url(bytes)))
    assert.are.equal("-_8", crypto.base64url("\251\255"))
  end)

  it("refuses base64 that is not exactly that", function()
    for _, text in ipairs { "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v ", "Zm9v\n", "=", "====", "Zm-v", "Z=g=" } do
      local bytes, err = crypto.unbase64(text)
      assert.is_nil(bytes, text)
      assert.are.equal("invalid", err.code)
    end
    for _, text in ipairs { "Z", "Zh", "Zg=", "Zm+v", "Zm/v" } do assert.is_nil((crypto.unbase64url(text)), text) end
  end)

  it("compares secrets", function()
    assert.is_true(crypto.equal("", ""))
    assert.is_true(crypto.equal("abc", "abc"))
    assert.is_false(crypto.equal("abc", "abd"))
    assert.is_false(crypto.equal("abc", "abcd"))
  end)
end)
