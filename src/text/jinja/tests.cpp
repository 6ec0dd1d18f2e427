// What `is` can ask.

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"
#include "text/unicode.h"

namespace weir::text::jinja {
namespace {

template <typename Predicate>
Outcome<bool> without_arguments(const Args& args, Predicate predicate) {
    WEIR_TRY(Bound::bind("test", args, {}));
    return predicate();
}

template <Kind... kinds>
Outcome<bool> is_kind(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args, [&] { return (value.is(kinds) || ...); });
}

Outcome<bool> defined(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args, [&] { return !value.is_undefined(); });
}

template <bool wanted>
Outcome<bool> is_exactly(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args,
                             [&] { return value.is(Kind::Bool) && value.as_bool() == wanted; });
}

Outcome<bool> sequence(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args, [&] {
        return value.is_undefined() || value.is_str() || value.is(Kind::List) ||
               value.is(Kind::Tuple) || value.is(Kind::Dict) || value.is(Kind::Range);
    });
}

Outcome<bool> iterable(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args, [&] { return is_iterable(value); });
}

Outcome<bool> callable(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args, [&] {
        return value.is_undefined() || value.is(Kind::Macro) || value.is(Kind::Native) ||
               value.is(Kind::Joiner) || value.is(Kind::Loop);
    });
}

Outcome<bool> escaped(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args, [&] { return value.is_str() && value.str().markup; });
}

template <int remainder>
Outcome<bool> parity(Runtime& rt, const Value& value, const Args& args) {
    WEIR_TRY(Bound::bind("test", args, {}));
    WEIR_TRY_ASSIGN(const Value rest, apply(rt, Operator::Modulo, value, Value::integer(2)));
    return equals(rt, rest, Value::integer(remainder));
}

Outcome<bool> divisible_by(Runtime& rt, const Value& value, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("divisibleby", args, {"num"}, 1));
    WEIR_TRY_ASSIGN(const Value rest, apply(rt, Operator::Modulo, value, bound[0]));
    return equals(rt, rest, Value::integer(0));
}

// str.islower(), str.isupper(): some cased character, and none of the other case.
template <CharClass wanted>
Outcome<bool> is_case(Runtime& rt, const Value& value, const Args& args) {
    WEIR_TRY(Bound::bind("test", args, {}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, value));
    bool found = false;
    for (size_t at = 0; at < text.bytes().size();) {
        const utf8::Decoded next = utf8::decode(text.bytes(), at);
        const CharClass cased = CharTable::get().of(next.code_point) & (kUpper | kLower);
        if (cased != 0 && cased != wanted) {
            return false;
        }
        found = found || cased == wanted;
        at += next.bytes;
    }
    return found;
}

Outcome<bool> same_as(Runtime&, const Value& value, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("sameas", args, {"other"}, 1));
    return value.same_as(bound[0]);
}

Outcome<bool> in(Runtime& rt, const Value& value, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("in", args, {"seq"}, 1));
    return contains(rt, bound[0], value);
}

template <bool wanted>
Outcome<bool> equality(Runtime& rt, const Value& value, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("equalto", args, {"b"}, 1));
    WEIR_TRY_ASSIGN(const bool equal, equals(rt, value, bound[0]));
    return equal == wanted;
}

template <bool (*accepts)(int)>
Outcome<bool> ordered(Runtime& rt, const Value& value, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("test", args, {"b"}, 1));
    WEIR_TRY_ASSIGN(const int sign, order(rt, value, bound[0]));
    return accepts(sign);
}

bool less(int sign) {
    return sign < 0;
}
bool less_equal(int sign) {
    return sign <= 0;
}
bool greater(int sign) {
    return sign > 0;
}
bool greater_equal(int sign) {
    return sign >= 0;
}

Outcome<bool> is_filter(Runtime& rt, const Value& value, const Args& args) {
    return without_arguments(
        args, [&] { return value.is_str() && find_filter(value.bytes(), rt.mode()) != nullptr; });
}

Outcome<bool> is_test(Runtime&, const Value& value, const Args& args) {
    return without_arguments(args,
                             [&] { return value.is_str() && find_test(value.bytes()) != nullptr; });
}

constexpr Test kTests[] = {
    {"defined", defined},
    {"undefined", is_kind<Kind::Undefined>},
    {"none", is_kind<Kind::None>},
    {"boolean", is_kind<Kind::Bool>},
    {"true", is_exactly<true>},
    {"false", is_exactly<false>},
    {"integer", is_kind<Kind::Int>},
    {"float", is_kind<Kind::Float>},
    {"number", is_kind<Kind::Bool, Kind::Int, Kind::Float>},
    {"string", is_kind<Kind::Str>},
    {"mapping", is_kind<Kind::Dict>},
    {"sequence", sequence},
    {"iterable", iterable},
    {"callable", callable},
    {"escaped", escaped},
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisible_by},
    {"lower", is_case<kLower>},
    {"upper", is_case<kUpper>},
    {"sameas", same_as},
    {"in", in},
    {"filter", is_filter},
    {"test", is_test},
    {"==", equality<true>},
    {"eq", equality<true>},
    {"equalto", equality<true>},
    {"!=", equality<false>},
    {"ne", equality<false>},
    {"<", ordered<less>},
    {"lt", ordered<less>},
    {"lessthan", ordered<less>},
    {"<=", ordered<less_equal>},
    {"le", ordered<less_equal>},
    {">", ordered<greater>},
    {"gt", ordered<greater>},
    {"greaterthan", ordered<greater>},
    {">=", ordered<greater_equal>},
    {"ge", ordered<greater_equal>},
};

}  // namespace

const Test* find_test(std::string_view name) {
    const auto found = std::find_if(std::begin(kTests), std::end(kTests),
                                    [name](const Test& test) { return test.name == name; });
    return found == std::end(kTests) ? nullptr : found;
}

}  // namespace weir::text::jinja
