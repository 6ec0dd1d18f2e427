#include "policy/fingerprint.h"

#include <bit>
#include <cstring>
#include <string_view>

#include "base/random.h"
#include "policy/strings_of.h"

namespace weir::policy {
namespace {

__extension__ using Wide = unsigned __int128;

// Both halves of the product: each bit of either factor reaches about half of the result's.
uint64_t mixed(uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

struct Key {
    std::array<uint64_t, 4> words{};
};

const Key& process_key() {
    static const Key key{{random_u64(), random_u64(), random_u64(), random_u64()}};
    return key;
}

// Two lanes of a multiplicative hash over sixteen bytes at a time, each keyed on its own. Changes
// by accident or by somebody who does not know the key are found; it is no signature.
class Hash {
  public:
    // The length goes first, so that "ab" + "c" is not "a" + "bc".
    void add(std::string_view bytes) {
        step(bytes.size(), key_.words[0]);
        size_t at = 0;
        for (; at + 16 <= bytes.size(); at += 16) {
            step(word(bytes, at, 8), word(bytes, at + 8, 8));
        }
        if (const size_t rest = bytes.size() - at; rest > 0) {
            const size_t first = rest < 8 ? rest : 8;
            step(word(bytes, at, first), word(bytes, at + first, rest - first));
        }
    }
    chat::InspectionStamp::Fingerprint value() const { return {first_, second_}; }

  private:
    static uint64_t word(std::string_view bytes, size_t at, size_t count) {
        uint64_t value = 0;
        std::memcpy(&value, bytes.data() + at, count);
        return value;
    }
    void step(uint64_t a, uint64_t b) {
        first_ = mixed(first_ ^ a ^ key_.words[0], b ^ key_.words[1]) + std::rotl(first_, 23);
        second_ = mixed(second_ ^ b ^ key_.words[2], a ^ key_.words[3]) + std::rotl(second_, 29);
    }

    const Key& key_ = process_key();
    uint64_t first_ = key_.words[2];
    uint64_t second_ = key_.words[0];
};

}  // namespace

chat::InspectionStamp::Fingerprint fingerprint_of(const chat::ChatRequest& request) {
    const RequestPieces pieces = pieces_of(request);
    Hash hash;
    for (const std::string_view piece : pieces.texts) {
        hash.add(piece);
    }
    for (const auto* texts : {&pieces.numbers, &pieces.lists}) {
        for (const std::string& text : *texts) {
            hash.add(text);
        }
    }
    hash.add(pieces.uninspectable ? "uninspectable" : "");
    return hash.value();
}

}  // namespace weir::policy
