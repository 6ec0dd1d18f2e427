#include "ledger/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace weir::ledger {

Sha256 sha256(std::string_view text) {
    Sha256 digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return digest;
}

Result<Sha256> sha256_from_hex(std::string_view hex) {
    Sha256 digest{};
    const auto nibble = [](char c) -> int {
        if (c >= '0' && c <= '9') {
            return c - '0';
        }
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
    };
    if (hex.size() != digest.size() * 2) {
        return fail(ErrorCode::InvalidArgument, "a SHA-256 has 64 hexadecimal digits");
    }
    for (size_t i = 0; i < digest.size(); ++i) {
        const int high = nibble(hex[2 * i]);
        const int low = nibble(hex[2 * i + 1]);
        if (high > 15 || low > 15) {
            return fail(ErrorCode::InvalidArgument, "a SHA-256 has 64 hexadecimal digits");
        }
        digest[i] = static_cast<uint8_t>(high * 16 + low);
    }
    return digest;
}

const ClientKey* KeyRing::find(std::string_view secret) const {
    const Sha256 hash = sha256(secret);
    const ClientKey* found = nullptr;
    for (const ClientKey& key : keys_) {
        if (CRYPTO_memcmp(key.hash.data(), hash.data(), hash.size()) == 0) {
            found = &key;
        }
    }
    return found;
}

}  // namespace weir::ledger
