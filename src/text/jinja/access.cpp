// Attribute, item and slice lookup.

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

// What the immutable sandbox keeps away. Lists may grow all the same (append, extend, insert, pop):
// shipped templates of popular models need it, and a render has its own copy of everything.
constexpr std::string_view kListMutators[] = {"clear", "remove", "reverse", "sort"};
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_internal(std::string_view name) {
    return name.starts_with("__") && name.ends_with("__");
}

// The methods of a type; what is refused comes back as an unsafe undefined.
std::optional<Value> find_method(const Value& value, const std::string& name) {
    const Native* method = nullptr;
    bool refused = is_internal(name);
    switch (value.kind()) {
        case Kind::Str:
            method = find_text_method(name);
            break;
        case Kind::List:
            method = find_list_method(name);
            refused = refused || is_one_of(name, kListMutators);
            break;
        case Kind::Tuple:
            method = find_tuple_method(name);
            break;
        case Kind::Dict:
            method = find_dict_method(name);
            refused = refused || is_one_of(name, kDictMutators);
            break;
        case Kind::Cycler:
            method = find_cycler_method(name);
            break;
        default:
            break;
    }
    if (method != nullptr) {
        return Value::bound(*method, value);
    }
    if (refused) {
        return Value::unsafe(&name, type_name(value));
    }
    return std::nullopt;
}

Outcome<std::optional<Value>> find_attribute(Runtime& rt, const Value& value,
                                             const std::string& name) {
    if (auto method = find_method(value, name)) {
        return method;
    }
    if (value.is(Kind::Namespace)) {
        const auto& attributes = value.name_space().attributes;
        const auto found = attributes.find(name);
        return found == attributes.end() ? std::nullopt : std::optional(found->second);
    }
    if (value.is(Kind::Tuple) && value.seq().tag == Seq::Tag::Group) {
        if (name == "grouper" || name == "list") {
            return value.items()[name == "list" ? 1 : 0];
        }
    }
    if (value.is(Kind::Cycler) && name == "current") {
        return value.cycler().items[value.cycler().position];
    }
    if (value.is(Kind::Loop)) {
        return loop_attribute(rt, value, name);
    }
    if (value.is(Kind::Macro)) {
        return macro_attribute(rt, value, name);
    }
    return std::nullopt;
}

Value missing(const Value& value, const std::string& name) {
    switch (value.kind()) {
        case Kind::None:
            return Value::undefined(&name, "None");
        case Kind::Dict:
            return Value::undefined(&name, "dict object");
        case Kind::List:
            return Value::undefined(&name, "list object");
        case Kind::Str:
            return Value::undefined(&name, "str object");
        default:
            return Value::undefined(&name, type_name(value));
    }
}

// Python's index: from the end if negative.
std::optional<size_t> resolve_index(Whole index, size_t count) {
    if (index < 0) {
        index += static_cast<Whole>(count);
    }
    if (index < 0 || index >= static_cast<Whole>(count)) {
        return std::nullopt;
    }
    return static_cast<size_t>(index);
}

Outcome<std::optional<Value>> item_at(Runtime& rt, const Value& value, Whole index) {
    switch (value.kind()) {
        case Kind::Str: {
            const std::string& bytes = value.bytes();
            WEIR_TRY(rt.charge_bytes(bytes.size()));
            const auto at = resolve_index(index, count_characters(bytes));
            if (!at) {
                return std::nullopt;
            }
            const size_t from = byte_of_character(bytes, *at);
            return rt.slice(value, from, from + character_bytes(bytes, from));
        }
        case Kind::List:
        case Kind::Tuple: {
            const auto at = resolve_index(index, value.items().size());
            return at ? std::optional(value.items()[*at]) : std::nullopt;
        }
        case Kind::Range: {
            const Range& range = value.range();
            const auto at = resolve_index(index, range.length);
            return at ? std::optional(
                            Value::integer(range.start + range.step * static_cast<Whole>(*at)))
                      : std::nullopt;
        }
        default:
            return std::nullopt;
    }
}

// The indices that a slice takes of a sequence of `count`.
struct SliceIndices {
    Whole start;
    Whole step;
    size_t count;
};

Outcome<SliceIndices> resolve_slice(size_t count, const Value& start, const Value& stop,
                                    const Value& step_value) {
    const auto size = static_cast<Whole>(count);
    Whole step = 1;
    if (!step_value.is_none()) {
        WEIR_TRY_ASSIGN(step, to_index(step_value));
    }
    if (step == 0) {
        return raise("slice step cannot be zero");
    }
    // More than the sequence is long is as good as the whole of it, and cannot overflow.
    step = std::clamp(step, -size - 1, size + 1);
    const Whole lowest = step < 0 ? -1 : 0;
    const Whole highest = step < 0 ? size - 1 : size;
    const auto bound = [&](const Value& value, Whole otherwise) -> Outcome<Whole> {
        if (value.is_none()) {
            return otherwise;
        }
        WEIR_TRY_ASSIGN(Whole index, to_index(value));
        if (index < 0) {
            index = index < -size ? lowest : index + size;
        }
        return std::clamp(index, lowest, highest);
    };
    WEIR_TRY_ASSIGN(const Whole from, bound(start, step < 0 ? highest : lowest));
    WEIR_TRY_ASSIGN(const Whole to, bound(stop, step < 0 ? lowest : highest));
    const Whole distance = step < 0 ? from - to : to - from;
    const Whole stride = step < 0 ? -step : step;
    return SliceIndices{from, step,
                        distance <= 0 ? 0 : static_cast<size_t>((distance + stride - 1) / stride)};
}

Outcome<Value> slice_text(Runtime& rt, const Value& value, const SliceIndices& slice) {
    const std::string& bytes = value.bytes();
    if (slice.step == 1) {
        const size_t from = byte_of_character(bytes, static_cast<size_t>(slice.start));
        const size_t length = byte_of_character(std::string_view(bytes).substr(from), slice.count);
        return rt.slice(value, from, from + length);
    }
    std::vector<size_t> starts;  // of every character, so that any order is linear
    const size_t characters = count_characters(bytes);
    WEIR_TRY(rt.reserve(characters * sizeof(size_t)));
    starts.reserve(characters);
    for (size_t at = 0; at < bytes.size(); at += character_bytes(bytes, at)) {
        starts.push_back(at);
    }
    TextBuilder out(rt);
    for (size_t i = 0; i < slice.count; ++i) {
        const size_t at =
            starts[static_cast<size_t>(slice.start + slice.step * static_cast<Whole>(i))];
        out.append(value.text(), at, at + character_bytes(bytes, at));
    }
    return out.finish(value.str().markup);
}

}  // namespace

Outcome<Value> get_attribute(Runtime& rt, const Value& value, const std::string& name) {
    if (value.is_undefined()) {
        return undefined_error(value);
    }
    WEIR_TRY_ASSIGN(const auto attribute, find_attribute(rt, value, name));
    if (attribute) {
        return *attribute;
    }
    if (value.is(Kind::Dict)) {
        if (const Value* member = value.dict().find(name)) {
            return *member;
        }
    }
    return missing(value, name);
}

Outcome<Value> get_item(Runtime& rt, const Value& value, const Value& key) {
    if (value.is_undefined()) {
        return undefined_error(value);
    }
    if (value.is(Kind::Dict) && is_hashable(key)) {
        if (const Value* member = value.dict().find(key)) {
            return *member;
        }
    } else if (key.is_whole()) {
        WEIR_TRY_ASSIGN(const auto item, item_at(rt, value, key.as_int()));
        if (item) {
            return *item;
        }
    }
    if (key.is_str()) {
        WEIR_TRY_ASSIGN(const auto attribute, find_attribute(rt, value, key.bytes()));
        return attribute ? *attribute : missing(value, key.bytes());
    }
    static const std::string kElement = "[element]";
    return missing(value, kElement);
}

Outcome<Value> get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop,
                         const Value& step) {
    if (value.is_undefined()) {
        return undefined_error(value);
    }
    if (!value.is_str() && !value.is(Kind::List) && !value.is(Kind::Tuple) &&
        !value.is(Kind::Range)) {
        return raise("'{}' object cannot be sliced", type_name(value));
    }
    WEIR_TRY_ASSIGN(const size_t count, length(rt, value));
    WEIR_TRY_ASSIGN(const SliceIndices slice, resolve_slice(count, start, stop, step));
    if (value.is_str()) {
        return slice_text(rt, value, slice);
    }
    WEIR_TRY(rt.charge(1 + slice.count / 16));
    WEIR_TRY(rt.reserve(slice.count * sizeof(Value)));
    if (value.is(Kind::Range)) {
        const Range& range = value.range();
        if (slice.count < 2) {  // then the step says nothing, and must not grow
            return rt.range(Range{range.start + range.step * slice.start, 1, slice.count});
        }
        return rt.range(
            Range{range.start + range.step * slice.start, range.step * slice.step, slice.count});
    }
    std::vector<Value> items;
    items.reserve(slice.count);
    for (size_t i = 0; i < slice.count; ++i) {
        items.push_back(
            value.items()[static_cast<size_t>(slice.start + slice.step * static_cast<Whole>(i))]);
    }
    return value.is(Kind::List) ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

}  // namespace weir::text::jinja
