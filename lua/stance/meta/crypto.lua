---@meta crypto

--- Digests, random bytes, and bytes as text. Digests of more than 64 KiB wait in their fiber, while a pool thread works;
--- all else returns at once. Texts that cannot be decoded give nil and an error with code "invalid".
local crypto = {}

---@param bytes string
---@return string hex  64 lower-case digits
function crypto.sha256(bytes) end

---@param bytes string
---@return string digest  32 bytes
function crypto.sha256_raw(bytes) end

---@param key string  at most 64 KiB
---@param bytes string
---@return string hex  64 lower-case digits
function crypto.hmac_sha256(key, bytes) end

---@param key string  at most 64 KiB
---@param bytes string
---@return string digest  32 bytes
function crypto.hmac_sha256_raw(key, bytes) end

--- From the system's cryptographic generator.
---@param count integer  0 to 1,048,576
---@return string bytes
function crypto.random(count) end

--- A random UUID (RFC 9562, version 4): "3b38fc9e-1180-4a17-ab35-09460083446b".
---@return string
function crypto.uuid() end

---@param bytes string
---@return string text  lower case
function crypto.hex(bytes) end

---@param text string  either case
---@return string? bytes
---@return stance.Error? err
function crypto.unhex(text) end

--- RFC 4648, with padding.
---@param bytes string
---@return string text
function crypto.base64(bytes) end

--- Strict: padded, no blanks.
---@param text string
---@return string? bytes
---@return stance.Error? err
function crypto.unbase64(text) end

--- RFC 4648 for URLs and file names, without padding.
---@param bytes string
---@return string text
function crypto.base64url(bytes) end

--- Strict, with or without padding.
---@param text string
---@return string? bytes
---@return stance.Error? err
function crypto.unbase64url(text) end

--- Compares without telling by its time where two secrets of one length differ.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

return crypto
