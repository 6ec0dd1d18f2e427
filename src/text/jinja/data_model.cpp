#include "text/jinja/data_model.h"

#include <algorithm>
#include <cstring>

namespace weir::text::jinja {
namespace {

Value range_item(const Range& range, size_t index) {
    return Value::integer(range.start + range.step * static_cast<Whole>(index));
}

// The list that a value is compared or searched as: only the same kinds compare.
bool same_sequence_kind(const Value& a, const Value& b) {
    return a.is_seq() && a.kind() == b.kind();
}

Outcome<bool> equal_dicts(Runtime& rt, const Dict& a, const Dict& b) {
    if (a.size() != b.size()) {
        return false;
    }
    for (const auto& [key, value] : a.entries()) {
        WEIR_TRY(rt.charge());
        const Value* other = b.find(key);
        if (other == nullptr) {
            return false;
        }
        WEIR_TRY_ASSIGN(const bool equal, equals(rt, value, *other));
        if (!equal) {
            return false;
        }
    }
    return true;
}

// Of the same numbers.
bool equal_ranges(const Range& a, const Range& b) {
    return a.length == b.length && (a.length == 0 || a.start == b.start) &&
           (a.length < 2 || a.step == b.step);
}

Outcome<bool> contains_text(Runtime& rt, const Value& container, const Value& item) {
    if (!item.is_str()) {
        return raise("'in <string>' requires string as left operand, not {}", type_name(item));
    }
    WEIR_TRY(rt.charge_bytes(container.bytes().size()));
    return find_bytes(container.bytes(), item.bytes(), 0) != std::string::npos;
}

bool contains_number(const Range& range, const Value& item) {
    if (!item.is_whole()) {
        return false;
    }
    Whole distance = 0;
    if (__builtin_sub_overflow(item.as_int(), range.start, &distance)) {
        return false;
    }
    if ((distance < 0) != (range.step < 0) && distance != 0) {
        return false;  // before its start
    }
    // Of magnitudes, since -2^127 by -1 does not fit.
    const Magnitude stride = magnitude_of(range.step);
    return magnitude_of(distance) % stride == 0 &&
           magnitude_of(distance) / stride < Magnitude{range.length};
}

}  // namespace

size_t count_characters(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

size_t character_bytes(std::string_view text, size_t at) {
    if (at >= text.size()) {
        return 0;
    }
    size_t end = at + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
        ++end;
    }
    return end - at;
}

// glibc's memmem is the two-way algorithm.
size_t find_bytes(std::string_view text, std::string_view wanted, size_t from) {
    if (from > text.size()) {
        return std::string_view::npos;
    }
    const void* found =
        memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
    return found == nullptr ? std::string_view::npos
                            : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t byte_of_character(std::string_view text, size_t index) {
    size_t at = 0;
    while (index > 0 && at < text.size()) {
        at += character_bytes(text, at);
        --index;
    }
    return at;
}

std::unexpected<Raised> undefined_error(const Value& undefined) {
    const std::string& name = *undefined.undefined_name();
    const char* owner = undefined.undefined_owner();
    if (undefined.is_unsafe()) {
        return raise("access to attribute '{}' of '{}' object is unsafe", name, owner);
    }
    if (owner == nullptr) {
        return raise("'{}' is undefined", name);
    }
    return raise("'{}' has no attribute '{}'", owner, name);
}

std::unexpected<Raised> type_error(std::string_view what, const Value& value) {
    if (value.is_undefined()) {
        return undefined_error(value);
    }
    return raise("{}: '{}'", what, type_name(value));
}

Outcome<Whole> to_index(const Value& value) {
    if (!value.is_whole()) {
        return type_error("an integer is required", value);
    }
    return value.as_int();
}

bool truthy(const Value& value) {
    switch (value.kind()) {
        case Kind::Undefined:
        case Kind::None:
            return false;
        case Kind::Bool:
        case Kind::Int:
            return value.as_int() != 0;
        case Kind::Float:
            return value.as_real() != 0;
        case Kind::Str:
            return !value.text().empty();
        case Kind::List:
        case Kind::Tuple:
        case Kind::View:
            return !value.items().empty();
        case Kind::Dict:
            return value.dict().size() != 0;
        case Kind::Range:
            return value.range().length != 0;
        default:
            return true;
    }
}

Outcome<size_t> length(Runtime& rt, const Value& value) {
    switch (value.kind()) {
        case Kind::Undefined:
            return 0;
        case Kind::Str:
            WEIR_TRY(rt.charge_bytes(value.bytes().size()));
            return count_characters(value.bytes());
        case Kind::List:
        case Kind::Tuple:
        case Kind::View:
            return value.items().size();
        case Kind::Dict:
            return value.dict().size();
        case Kind::Range:
            return value.range().length;
        default:
            return type_error("the value has no length", value);
    }
}

Outcome<bool> equals(Runtime& rt, const Value& a, const Value& b) {
    const Runtime::Level level(rt);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    if (a.is_number() && b.is_number()) {
        return order_numbers(a, b) == 0 && a.as_real() == a.as_real();  // NaN equals nothing
    }
    if (a.is_str() && b.is_str()) {
        WEIR_TRY(rt.charge_bytes(std::min(a.bytes().size(), b.bytes().size())));
        return a.bytes() == b.bytes();
    }
    if (a.is(Kind::Dict) && b.is(Kind::Dict)) {
        return equal_dicts(rt, a.dict(), b.dict());
    }
    if (a.is(Kind::Range) && b.is(Kind::Range)) {
        return equal_ranges(a.range(), b.range());
    }
    if (!same_sequence_kind(a, b)) {
        return a.same_as(b);
    }
    if (a.items().size() != b.items().size()) {
        return false;
    }
    for (size_t i = 0; i < a.items().size(); ++i) {
        WEIR_TRY(rt.charge());
        WEIR_TRY_ASSIGN(const bool equal, equals(rt, a.items()[i], b.items()[i]));
        if (!equal) {
            return false;
        }
    }
    return true;
}

Outcome<int> order(Runtime& rt, const Value& a, const Value& b) {
    const Runtime::Level level(rt);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    WEIR_TRY(rt.charge());
    if (a.is_number() && b.is_number()) {
        return order_numbers(a, b);
    }
    if (a.is_str() && b.is_str()) {
        WEIR_TRY(rt.charge_bytes(std::min(a.bytes().size(), b.bytes().size())));
        const int sign = a.bytes().compare(b.bytes());
        return sign < 0 ? -1 : static_cast<int>(sign > 0);
    }
    if (a.is_undefined() || b.is_undefined()) {
        return undefined_error(a.is_undefined() ? a : b);
    }
    if (!same_sequence_kind(a, b) || a.is(Kind::View)) {
        return raise("'<' not supported between instances of '{}' and '{}'", type_name(a),
                     type_name(b));
    }
    const size_t common = std::min(a.items().size(), b.items().size());
    for (size_t i = 0; i < common; ++i) {
        WEIR_TRY_ASSIGN(const bool equal, equals(rt, a.items()[i], b.items()[i]));
        if (!equal) {
            return order(rt, a.items()[i], b.items()[i]);
        }
    }
    return order_numbers(Value::integer(static_cast<Whole>(a.items().size())),
                         Value::integer(static_cast<Whole>(b.items().size())));
}

Outcome<bool> contains(Runtime& rt, const Value& container, const Value& item) {
    switch (container.kind()) {
        case Kind::Str:
            return contains_text(rt, container, item);
        case Kind::Dict:
            if (!is_hashable(item)) {
                return type_error("unhashable type", item);
            }
            return container.dict().find(item) != nullptr;
        case Kind::Range:
            return contains_number(container.range(), item);
        default:
            break;
    }
    if (!is_iterable(container)) {
        return type_error("the value cannot be searched", container);
    }
    WEIR_TRY_ASSIGN(Cursor cursor, Cursor::over(container));
    while (true) {
        WEIR_TRY_ASSIGN(const auto next, cursor.next(rt));
        if (!next) {
            return false;
        }
        WEIR_TRY_ASSIGN(const bool equal, equals(rt, *next, item));
        if (equal) {
            return true;
        }
    }
}

bool is_iterable(const Value& value) {
    switch (value.kind()) {
        case Kind::Undefined:
        case Kind::Str:
        case Kind::List:
        case Kind::Tuple:
        case Kind::View:
        case Kind::Dict:
        case Kind::Range:
        case Kind::Generator:
            return true;
        default:
            return false;
    }
}

Outcome<Cursor> Cursor::over(const Value& iterable) {
    if (!is_iterable(iterable)) {
        return raise("'{}' object is not iterable", type_name(iterable));
    }
    return Cursor(iterable);
}

Outcome<std::optional<Value>> Cursor::next(Runtime& rt) {
    WEIR_TRY(rt.charge());
    switch (iterable_.kind()) {
        case Kind::Str: {
            const size_t bytes = character_bytes(iterable_.bytes(), at_);
            if (bytes == 0) {
                return std::nullopt;
            }
            at_ += bytes;
            return rt.slice(iterable_, at_ - bytes, at_);
        }
        case Kind::List:
        case Kind::Tuple:
        case Kind::View:
            if (at_ < iterable_.items().size()) {
                return iterable_.items()[at_++];
            }
            return std::nullopt;
        case Kind::Dict:
            if (at_ < iterable_.dict().size()) {
                return iterable_.dict().entries()[at_++].first;
            }
            return std::nullopt;
        case Kind::Range:
            if (at_ < iterable_.range().length) {
                return range_item(iterable_.range(), at_++);
            }
            return std::nullopt;
        case Kind::Generator:
            if (iterable_.generator().next < iterable_.generator().items.size()) {
                return iterable_.generator().items[iterable_.generator().next++];
            }
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

Outcome<std::vector<Value>> to_vector(Runtime& rt, const Value& iterable) {
    WEIR_TRY_ASSIGN(Cursor cursor, Cursor::over(iterable));
    std::vector<Value> items;
    while (true) {
        WEIR_TRY_ASSIGN(const auto next, cursor.next(rt));
        if (!next) {
            return items;
        }
        items.push_back(*next);
        WEIR_TRY(rt.reserve(items.size() * sizeof(Value)));
    }
}

}  // namespace weir::text::jinja
