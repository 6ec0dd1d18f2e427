#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/label.h"

namespace weir::ledger {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::string_view text);
// 64 hexadecimal digits. Errors: InvalidArgument.
Result<Sha256> sha256_from_hex(std::string_view hex);

// A client's key: Weir keeps its hash, never the key.
struct ClientKey {
    std::string name;
    Sha256 hash{};
    chat::Label label = chat::Label::Internal;
};

// Who may ask. Without any key everybody on loopback may (as the empty name); the server refuses to
// listen elsewhere then.
//
// Threads: any; immutable.
class KeyRing {
  public:
    explicit KeyRing(std::vector<ClientKey> keys) : keys_(std::move(keys)) {}

    bool empty() const { return keys_.empty(); }

    // The key whose hash the secret has. Looks at every key, each in constant time, so that neither
    // the time nor the order says how close a guess was.
    const ClientKey* find(std::string_view secret) const;

  private:
    std::vector<ClientKey> keys_;
};

}  // namespace weir::ledger
