#include "text/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace weir::text::jinja {
namespace {

constexpr size_t kScanMax = 8;
constexpr int kKeyDepthMax = 20;

int sign_of(bool less, bool greater) {
    return less ? -1 : static_cast<int>(greater);
}

int order_int_real(Whole whole, double real) {
    constexpr double kTwo127 = 0x1p127;
    if (std::isnan(real) || real < -kTwo127) {
        return 1;
    }
    if (real >= kTwo127) {
        return -1;
    }
    const auto floor = static_cast<Whole>(std::floor(real));
    if (whole != floor) {
        return sign_of(whole<floor, whole> floor);
    }
    return real > std::floor(real) ? -1 : 0;
}

int key_rank(const Value& value) {
    switch (value.kind()) {
        case Kind::Bool:
        case Kind::Int:
        case Kind::Float:
            return 1;
        case Kind::Str:
            return 2;
        case Kind::Tuple:
            return 3;
        default:
            return 0;
    }
}

}  // namespace

Value Value::object(Kind kind, const void* pointer) {
    Value value;
    value.kind_ = kind;
    value.payload_.pair = {pointer, nullptr};
    return value;
}

Value Value::boolean(bool b) {
    Value value;
    value.kind_ = Kind::Bool;
    value.payload_.integer = b ? 1 : 0;
    return value;
}

Value Value::integer(Whole i) {
    Value value;
    value.kind_ = Kind::Int;
    value.payload_.integer = i;
    return value;
}

Value Value::real(double d) {
    Value value;
    value.kind_ = Kind::Float;
    value.payload_.real = d;
    return value;
}

Value Value::undefined(const std::string* name, const char* owner) {
    Value value = object(Kind::Undefined, name);
    value.payload_.pair.second = owner;
    return value;
}

Value Value::unsafe(const std::string* name, const char* owner) {
    Value value = undefined(name, owner);
    value.detail_ = Kind::Native;
    return value;
}

Value Value::native(const Native& function) {
    Value value = object(Kind::Native, nullptr);
    value.payload_.pair.second = &function;
    return value;
}

Value Value::bound(const Native& function, const Value& self) {
    Value value = native(function);
    value.payload_.pair.first = self.payload_.pair.first;
    value.detail_ = self.kind_;
    return value;
}

Value Value::self() const {
    return detail_ == Kind::None ? Value() : object(detail_, payload_.pair.first);
}

double Value::as_real() const {
    return kind_ == Kind::Float ? payload_.real : static_cast<double>(payload_.integer);
}

bool Value::same_as(const Value& other) const {
    if (kind_ != other.kind_) {
        return false;
    }
    switch (kind_) {
        case Kind::Undefined:
        case Kind::None:
            return true;
        case Kind::Bool:
        case Kind::Int:
            return payload_.integer == other.payload_.integer;
        case Kind::Float:
            return payload_.real == other.payload_.real;
        case Kind::Str:
            return bytes() == other.bytes();
        default:
            return payload_.pair.first == other.payload_.pair.first &&
                   payload_.pair.second == other.payload_.pair.second;
    }
}

bool is_hashable(const Value& value, int depth) {
    switch (value.kind()) {
        case Kind::None:
        case Kind::Bool:
        case Kind::Int:
        case Kind::Float:
        case Kind::Str:
            return true;
        case Kind::Tuple:
            return depth < kKeyDepthMax &&
                   std::all_of(
                       value.items().begin(), value.items().end(),
                       [&](const Value& item) { return is_hashable(item, depth + 1); });
        default:
            return false;
    }
}

int order_numbers(const Value& a, const Value& b) {
    if (a.is_whole() && b.is_whole()) {
        return sign_of(a.as_int() < b.as_int(), a.as_int() > b.as_int());
    }
    if (a.is_whole()) {
        return order_int_real(a.as_int(), b.as_real());
    }
    if (b.is_whole()) {
        return -order_int_real(b.as_int(), a.as_real());
    }
    const double x = a.as_real();
    const double y = b.as_real();
    if (std::isnan(x) || std::isnan(y)) {
        return sign_of(std::isnan(x) && !std::isnan(y), !std::isnan(x) && std::isnan(y));
    }
    return sign_of(x<y, x> y);
}

// Recursion is bounded: keys are hashable, which bounds the depth of tuples.
int order_keys(const Value& a, const Value& b) {
    const int rank = key_rank(a);
    if (rank != key_rank(b)) {
        return sign_of(rank < key_rank(b), true);
    }
    switch (rank) {
        case 1:
            return order_numbers(a, b);
        case 2:
            return a.bytes().compare(b.bytes());
        case 3:
            for (size_t i = 0; i < a.items().size() && i < b.items().size(); ++i) {
                if (const int order = order_keys(a.items()[i], b.items()[i]); order != 0) {
                    return order;
                }
            }
            return sign_of(a.items().size() < b.items().size(),
                           a.items().size() > b.items().size());
        default:
            return 0;
    }
}

Dict Dict::build(std::vector<Entry> entries) {
    std::vector<uint32_t> order(entries.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
        return order_keys(entries[a].first, entries[b].first) < 0;
    });
    std::vector<bool> again(entries.size(), false);
    for (size_t i = 0; i < order.size();) {
        size_t j = i + 1;
        while (j < order.size() &&
               order_keys(entries[order[i]].first, entries[order[j]].first) == 0) {
            entries[order[i]].second = entries[order[j]].second;
            again[order[j]] = true;
            ++j;
        }
        i = j;
    }
    Dict dict;
    std::vector<uint32_t> place(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
        if (!again[i]) {
            place[i] = static_cast<uint32_t>(dict.entries_.size());
            dict.entries_.push_back(entries[i]);
        }
    }
    if (dict.entries_.size() > kScanMax) {
        for (const uint32_t i : order) {
            if (!again[i]) {
                dict.by_key_.push_back(place[i]);
            }
        }
    }
    return dict;
}

const Value* Dict::find(const Value& key) const {
    if (by_key_.empty()) {
        for (const Entry& entry : entries_) {
            if (order_keys(entry.first, key) == 0) {
                return &entry.second;
            }
        }
        return nullptr;
    }
    const auto found = std::lower_bound(
        by_key_.begin(), by_key_.end(), key,
        [this](uint32_t i, const Value& k) { return order_keys(entries_[i].first, k) < 0; });
    if (found == by_key_.end() || order_keys(entries_[*found].first, key) != 0) {
        return nullptr;
    }
    return &entries_[*found].second;
}

const Value* Dict::find(std::string_view key) const {
    const Str probe{MarkedText(std::string(key), Trust::Data)};
    return find(Value::of(probe));
}

const char* type_name(const Value& value) {
    switch (value.kind()) {
        case Kind::Undefined:
            return "Undefined";
        case Kind::None:
            return "NoneType";
        case Kind::Bool:
            return "bool";
        case Kind::Int:
            return "int";
        case Kind::Float:
            return "float";
        case Kind::Str:
            return value.str().markup ? "Markup" : "str";
        case Kind::List:
            return "list";
        case Kind::Tuple:
            return "tuple";
        case Kind::View:
            switch (value.seq().tag) {
                case Seq::Tag::Keys:
                    return "dict_keys";
                case Seq::Tag::Values:
                    return "dict_values";
                default:
                    return "dict_items";
            }
        case Kind::Dict:
            return "dict";
        case Kind::Range:
            return "range";
        case Kind::Generator:
            return "generator";
        case Kind::Namespace:
            return "Namespace";
        case Kind::Loop:
            return "LoopContext";
        case Kind::Macro:
            return "Macro";
        case Kind::Cycler:
            return "Cycler";
        case Kind::Joiner:
            return "Joiner";
        case Kind::Native:
            return "builtin_function_or_method";
    }
    return "object";
}

std::string type_title(const Value& value) {
    return value.is_none() ? "None" : fmt::format("{} object", type_name(value));
}

std::string int_text(Whole value) {
    return fmt::format("{}", value);
}

// fmt switches to exponents where Python does: below 1e-4 and from 1e16.
std::string float_text(double value) {
    if (std::isnan(value)) {
        return "nan";
    }
    if (std::isinf(value)) {
        return value < 0 ? "-inf" : "inf";
    }
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".e") == std::string::npos) {
        text += ".0";
    }
    return text;
}

}  // namespace weir::text::jinja
