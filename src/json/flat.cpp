#include "json/flat.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

namespace weir::json {
namespace {

// So many parts a vocabulary has for its text, as they are published; memory that they do not need
// is never touched.
constexpr size_t kSourceBytesPerPart = 8;

constexpr size_t kScanMax = 8;  // up to here comparing all is the fastest

uint32_t hash_of(std::string_view text) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
    uint64_t hash = text.size() * kMultiplier;
    const auto mix = [&](const char* bytes, size_t count) {
        uint64_t word = 0;
        std::memcpy(&word, bytes, count);
        hash = (hash ^ word) * kMultiplier;
        hash ^= hash >> 29;
    };
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
        mix(text.data() + at, sizeof(uint64_t));
    }
    mix(text.data() + at, text.size() - at);
    return static_cast<uint32_t>(hash >> 32);
}

bool any_twice_sorted(std::vector<std::string_view> texts) {
    std::ranges::sort(texts);
    return std::ranges::adjacent_find(texts) != texts.end();
}

// By open addressing, half full. Texts that were chosen to collide must not cost their number
// squared: where places are looked at far more often than chance allows, sorting finds it out.
bool any_twice(std::vector<std::string_view> texts) {
    if (texts.size() <= kScanMax) {
        return any_twice_sorted(std::move(texts));
    }
    struct Slot {
        uint32_t hash = 0;
        uint32_t number = 0;  // of the text, from 1 on; 0: empty
    };
    constexpr size_t kLooksPerText = 16;
    constexpr size_t kAhead = 16;  // slots that the memory is asked for before they are needed
    std::vector<uint32_t> hashes(texts.size());
    std::ranges::transform(texts, hashes.begin(), hash_of);
    std::vector<Slot> slots(std::bit_ceil(texts.size() * 2));
    const size_t mask = slots.size() - 1;
    size_t looks_left = kLooksPerText * texts.size();
    for (size_t i = 0; i < texts.size(); ++i) {
        __builtin_prefetch(&slots[hashes[std::min(i + kAhead, texts.size() - 1)] & mask]);
        size_t at = hashes[i] & mask;
        for (; slots[at].number != 0; at = (at + 1) & mask) {
            if (slots[at].hash == hashes[i] && texts[slots[at].number - 1] == texts[i]) {
                return true;
            }
            if (--looks_left == 0) {
                return any_twice_sorted(std::move(texts));
            }
        }
        slots[at] = {hashes[i], static_cast<uint32_t>(i + 1)};
    }
    return false;
}

}  // namespace

std::optional<double> Flat::View::if_number() const {
    switch (part().kind) {
        case Kind::Whole:
            return static_cast<double>(static_cast<int64_t>(part().value));
        case Kind::Large:
            return static_cast<double>(part().value);
        case Kind::Real:
            return std::bit_cast<double>(part().value);
        default:
            return std::nullopt;
    }
}

std::string_view Flat::View::kind_name() const {
    switch (part().kind) {
        case Kind::Null:
            return "null";
        case Kind::Bool:
            return "boolean";
        case Kind::Whole:
        case Kind::Large:
        case Kind::Real:
            return "number";
        case Kind::String:
            return "string";
        case Kind::List:
            return "array";
        case Kind::Members:
            return "object";
    }
    return "";
}

void Flat::add_string(std::string_view text) {
    const auto extent = static_cast<uint32_t>(text.size());
    const bool borrowed =
        !std::less<>()(text.data(), source_.data()) &&
        !std::less<>()(source_.data() + source_.size(), text.data() + text.size());
    if (borrowed) {
        const auto offset = static_cast<uint64_t>(text.data() - source_.data());
        parts_.push_back({offset, extent, Kind::String, true});
        return;
    }
    parts_.push_back({own_.size(), extent, Kind::String, false});
    own_ += text;
}

size_t Flat::open(Kind kind) {
    if (parts_.empty()) {
        parts_.reserve(source_.size() / kSourceBytesPerPart);
    }
    parts_.push_back({.kind = kind});
    return parts_.size() - 1;
}

void Flat::close(size_t opened, size_t size) {
    parts_[opened].value = size;
    parts_[opened].extent = static_cast<uint32_t>(parts_.size() - opened - 1);
}

bool Flat::has_key_twice(size_t opened) const {
    const View object(*this, opened);
    std::vector<std::string_view> keys;
    keys.reserve(object.size() / 2);
    bool is_key = true;
    for (const View part : object) {
        if (is_key) {
            keys.push_back(*part.if_string());
        }
        is_key = !is_key;
    }
    return any_twice(std::move(keys));
}

}  // namespace weir::json
