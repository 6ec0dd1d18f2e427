// Methods of lists, tuples, dictionaries; namespace(), range(), dict() and the other globals.

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

const Native* find_in(std::span<const Native> table, std::string_view name) {
    const auto found = std::find_if(table.begin(), table.end(),
                                    [name](const Native& native) { return native.name == name; });
    return found == table.end() ? nullptr : &*found;
}

Outcome<Value> index(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("index", args, {"value"}, 1));
    for (size_t i = 0; i < self.items().size(); ++i) {
        WEIR_TRY(rt.charge());
        WEIR_TRY_ASSIGN(const bool equal, equals(rt, self.items()[i], bound[0]));
        if (equal) {
            return Value::integer(static_cast<Whole>(i));
        }
    }
    return raise("the value is not in the list");
}

Outcome<Value> count(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("count", args, {"value"}, 1));
    Whole found = 0;
    for (const Value& item : self.items()) {
        WEIR_TRY(rt.charge());
        WEIR_TRY_ASSIGN(const bool equal, equals(rt, item, bound[0]));
        found += equal ? 1 : 0;
    }
    return Value::integer(found);
}

Outcome<Value> copy_list(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("copy", args, {}));
    WEIR_TRY(rt.reserve(self.items().size() * sizeof(Value)));
    return rt.list(self.items());
}

Outcome<Value> append(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("append", args, {"object"}, 1));
    rt.account(sizeof(Value) * 2);  // a vector grows ahead of its use
    self.seq().items.push_back(bound[0]);
    return Value();
}

Outcome<Value> extend(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("extend", args, {"iterable"}, 1));
    WEIR_TRY_ASSIGN(const std::vector<Value> more, to_vector(rt, bound[0]));
    rt.account(sizeof(Value) * 2 * more.size());
    self.seq().items.insert(self.seq().items.end(), more.begin(), more.end());
    return Value();
}

Outcome<Value> insert(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("insert", args, {"index", "object"}, 2));
    WEIR_TRY_ASSIGN(Whole at, bound.integer(0, 0));
    const auto size = static_cast<Whole>(self.items().size());
    at = std::clamp<Whole>(at < 0 ? at + size : at, 0, size);
    WEIR_TRY(rt.charge(1 + self.items().size() / 64));
    rt.account(sizeof(Value) * 2);
    self.seq().items.insert(self.seq().items.begin() + static_cast<ptrdiff_t>(at), bound[1]);
    return Value();
}

Outcome<Value> pop(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("pop", args, {"index"}));
    WEIR_TRY_ASSIGN(Whole at, bound.integer(0, -1));
    const auto size = static_cast<Whole>(self.items().size());
    at = at < 0 ? at + size : at;
    if (at < 0 || at >= size) {
        return raise("pop index out of range");
    }
    WEIR_TRY(rt.charge(1 + self.items().size() / 64));
    const auto place = self.seq().items.begin() + static_cast<ptrdiff_t>(at);
    const Value popped = *place;
    self.seq().items.erase(place);
    return popped;
}

constexpr Native kListMethods[] = {
    {"index", index},   {"count", count},   {"copy", copy_list}, {"append", append},
    {"extend", extend}, {"insert", insert}, {"pop", pop},
};
constexpr Native kTupleMethods[] = {{"index", index}, {"count", count}};

template <Seq::Tag tag>
Outcome<Value> dict_view(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("items", args, {}));
    const auto& entries = self.dict().entries();
    WEIR_TRY(rt.charge(1 + entries.size() / 16));
    std::vector<Value> items;
    items.reserve(entries.size());
    for (const auto& [key, value] : entries) {
        items.push_back(tag == Seq::Tag::Items  ? rt.tuple({key, value})
                        : tag == Seq::Tag::Keys ? key
                                                : value);
    }
    return rt.view(std::move(items), tag);
}

Outcome<Value> dict_get(Runtime&, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("get", args, {"key", "default"}, 1));
    if (!is_hashable(bound[0])) {
        return type_error("unhashable type", bound[0]);
    }
    const Value* found = self.dict().find(bound[0]);
    return found != nullptr ? *found : bound.get(1, Value());
}

Outcome<Value> dict_copy(Runtime&, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("copy", args, {}));
    return self;  // dictionaries do not change
}

constexpr Native kDictMethods[] = {
    {"items", dict_view<Seq::Tag::Items>},
    {"keys", dict_view<Seq::Tag::Keys>},
    {"values", dict_view<Seq::Tag::Values>},
    {"get", dict_get},
    {"copy", dict_copy},
};

// --- Globals.

// range(): lazy, and no longer than Jinja's sandbox allows.
Outcome<Value> make_range(Runtime& rt, const Value&, const Args& args) {
    constexpr size_t kRangeMax = 100'000;
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("range", args, {"start", "stop", "step"}, 1));
    WEIR_TRY_ASSIGN(Whole start, bound.integer(0, 0));
    WEIR_TRY_ASSIGN(Whole stop, bound.integer(1, start));
    WEIR_TRY_ASSIGN(const Whole step, bound.integer(2, 1));
    if (!bound.has(1)) {
        start = 0;
    }
    if (step == 0) {
        return raise("range() arg 3 must not be zero");
    }
    const Whole distance = step > 0 ? stop - start : start - stop;
    const Whole stride = step > 0 ? step : -step;
    const Whole count = distance <= 0 ? 0 : (distance + stride - 1) / stride;
    if (count > static_cast<Whole>(kRangeMax)) {
        return raise_text(kTemplateLimit, "range() is limited to 100000 items");
    }
    return rt.range(Range{start, step, static_cast<size_t>(count)});
}

// A list of (key, value) pairs, or a mapping, then named arguments: what dict() and namespace()
// take.
Outcome<std::vector<Dict::Entry>> entries_of(Runtime& rt, const Args& args) {
    std::vector<Dict::Entry> entries;
    if (args.positional.size() > 1) {
        return raise("at most one positional argument is expected");
    }
    if (!args.positional.empty() && args.positional[0].is(Kind::Dict)) {
        entries = args.positional[0].dict().entries();
        WEIR_TRY(rt.charge(1 + entries.size() / 16));
    } else if (!args.positional.empty()) {
        WEIR_TRY_ASSIGN(const std::vector<Value> pairs, to_vector(rt, args.positional[0]));
        for (const Value& pair : pairs) {
            WEIR_TRY_ASSIGN(const std::vector<Value> both, to_vector(rt, pair));
            if (both.size() != 2 || !is_hashable(both[0])) {
                return raise("the argument must be a mapping or a list of pairs");
            }
            entries.emplace_back(both[0], both[1]);
        }
    }
    for (const auto& [name, value] : args.named) {
        entries.emplace_back(rt.text(MarkedText(std::string(name), Trust::Data)), value);
    }
    return entries;
}

Outcome<Value> make_dict(Runtime& rt, const Value&, const Args& args) {
    WEIR_TRY_ASSIGN(std::vector<Dict::Entry> entries, entries_of(rt, args));
    return rt.dict(std::move(entries));
}

Outcome<Value> make_namespace(Runtime& rt, const Value&, const Args& args) {
    WEIR_TRY_ASSIGN(const std::vector<Dict::Entry> entries, entries_of(rt, args));
    Namespace& space = rt.name_space();
    for (const auto& [key, value] : entries) {
        if (!key.is_str()) {
            return type_error("a namespace's names are strings", key);
        }
        rt.account(key.bytes().size() + 96);
        space.attributes.insert_or_assign(key.bytes(), value);
    }
    return Value::of(space);
}

Outcome<Value> make_cycler(Runtime& rt, const Value&, const Args& args) {
    if (args.positional.empty() || !args.named.empty()) {
        return raise("cycler() takes at least one item");
    }
    Cycler& cycler = rt.cycler();
    cycler.items = args.positional;
    return Value::cycler(cycler);
}

Outcome<Value> make_joiner(Runtime& rt, const Value&, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("joiner", args, {"sep"}));
    Cycler& joiner = rt.cycler();
    joiner.items = {bound.get(0, rt.text(", "))};
    return Value::joiner(joiner);
}

Outcome<Value> cycler_next(Runtime&, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("next", args, {}));
    Cycler& cycler = self.cycler();
    const Value current = cycler.items[cycler.position];
    cycler.position = (cycler.position + 1) % cycler.items.size();
    return current;
}

Outcome<Value> cycler_reset(Runtime&, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("reset", args, {}));
    self.cycler().position = 0;
    return Value();
}

constexpr Native kCyclerMethods[] = {{"next", cycler_next}, {"reset", cycler_reset}};

Outcome<Value> raise_exception(Runtime& rt, const Value&, const Args& args) {
    constexpr size_t kMessageMax = 500;
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("raise_exception", args, {"message"}, 1));
    WEIR_TRY_ASSIGN(const Value message, to_str(rt, bound[0]));
    const size_t end = byte_of_character(message.bytes(), kMessageMax);
    return raise_text(kTemplateRaised, message.bytes().substr(0, end));
}

Outcome<Value> strftime_now(Runtime& rt, const Value&, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("strftime_now", args, {"format"}, 1));
    WEIR_TRY_ASSIGN(const Value format, bound.str(rt, 0, ""));
    WEIR_TRY(rt.charge_bytes(format.bytes().size()));
    WEIR_TRY(rt.reserve(format.bytes().size() * 16));  // the longest field of two characters
    return rt.text(format_time(rt.now(), format.bytes()));
}

constexpr Native kGlobals[] = {
    {"range", make_range},          {"dict", make_dict},     {"namespace", make_namespace},
    {"cycler", make_cycler},        {"joiner", make_joiner}, {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
};

}  // namespace

const Native* find_list_method(std::string_view name) {
    return find_in(kListMethods, name);
}
const Native* find_tuple_method(std::string_view name) {
    return find_in(kTupleMethods, name);
}
const Native* find_dict_method(std::string_view name) {
    return find_in(kDictMethods, name);
}
const Native* find_cycler_method(std::string_view name) {
    return find_in(kCyclerMethods, name);
}
const Native* find_global(std::string_view name) {
    return find_in(kGlobals, name);
}

}  // namespace weir::text::jinja
