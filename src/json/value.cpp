#include "json/value.h"

#include <algorithm>
#include <numeric>

namespace weir::json {
namespace {

constexpr size_t kScanMax = 8;  // up to here a scan is as fast as a search

}  // namespace

std::string_view Object::adopt(std::vector<Member> members) {
    members_ = std::move(members);
    by_key_.clear();
    if (members_.size() <= kScanMax) {
        for (size_t i = 0; i < members_.size(); ++i) {
            for (size_t j = 0; j < i; ++j) {
                if (members_[i].first == members_[j].first) {
                    return members_[i].first;
                }
            }
        }
        return {};
    }
    by_key_.resize(members_.size());
    std::iota(by_key_.begin(), by_key_.end(), 0u);
    const auto key_of = [this](uint32_t i) -> const std::string& {
        return members_[i].first;
    };
    std::sort(by_key_.begin(), by_key_.end(),
              [&](uint32_t a, uint32_t b) { return key_of(a) < key_of(b); });
    const auto twice =
        std::adjacent_find(by_key_.begin(), by_key_.end(),
                           [&](uint32_t a, uint32_t b) { return key_of(a) == key_of(b); });
    return twice == by_key_.end() ? std::string_view() : std::string_view(key_of(*twice));
}

const Value* Object::find(std::string_view key) const {
    if (by_key_.empty()) {
        for (const Member& member : members_) {
            if (member.first == key) {
                return &member.second;
            }
        }
        return nullptr;
    }
    const auto found =
        std::lower_bound(by_key_.begin(), by_key_.end(), key,
                         [this](uint32_t i, std::string_view k) { return members_[i].first < k; });
    if (found == by_key_.end() || members_[*found].first != key) {
        return nullptr;
    }
    return &members_[*found].second;
}

Value* Object::find(std::string_view key) {
    return const_cast<Value*>(std::as_const(*this).find(key));
}

void Object::set(std::string key, Value value) {
    if (Value* present = find(key)) {
        *present = std::move(value);
        return;
    }
    if (members_.size() == kScanMax) {
        auto members = std::move(members_);
        members.emplace_back(std::move(key), std::move(value));
        adopt(std::move(members));
        return;
    }
    if (!by_key_.empty()) {
        const auto place = std::lower_bound(
            by_key_.begin(), by_key_.end(), key,
            [this](uint32_t i, const std::string& k) { return members_[i].first < k; });
        by_key_.insert(place, static_cast<uint32_t>(members_.size()));
    }
    members_.emplace_back(std::move(key), std::move(value));
}

bool operator==(const Object& a, const Object& b) {
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& member) {
               const Value* other = b.find(member.first);
               return other != nullptr && *other == member.second;
           });
}

bool Value::is_number() const {
    return std::holds_alternative<int64_t>(storage_) ||
           std::holds_alternative<uint64_t>(storage_) || std::holds_alternative<double>(storage_);
}

std::string_view Value::kind() const {
    switch (storage_.index()) {
        case 0:
            return "null";
        case 1:
            return "boolean";
        case 5:
            return "string";
        case 6:
            return "array";
        case 7:
            return "object";
        default:
            return "number";
    }
}

}  // namespace weir::json
