// Filters over sequences and mappings that take them as a whole.

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/keys.h"

namespace weir::text::jinja {
namespace {

Value nothing_in(const Value& input) {
    static const std::string kItem = "[item of an empty sequence]";
    return Value::undefined(&kItem, type_name(input));
}

Outcome<Value> default_value(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("default", args, {"default_value", "boolean"}));
    const bool use = input.is_undefined() || (bound.flag(1, false) && !truthy(input));
    return use ? bound.get(0, rt.text("")) : input;
}

Outcome<Value> count(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("length", args, {}));
    WEIR_TRY_ASSIGN(const size_t items, length(rt, input));
    return Value::integer(static_cast<Whole>(items));
}

Outcome<Value> first(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("first", args, {}));
    WEIR_TRY_ASSIGN(Cursor cursor, Cursor::over(input));
    WEIR_TRY_ASSIGN(const auto item, cursor.next(rt));
    return item ? *item : nothing_in(input);
}

Outcome<Value> last(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("last", args, {}));
    if (input.is(Kind::Generator)) {
        return raise("a generator cannot be read from its end");
    }
    if (input.is_str() || input.is(Kind::List) || input.is(Kind::Tuple)) {
        WEIR_TRY_ASSIGN(const Value item, get_item(rt, input, Value::integer(-1)));
        return item.is_undefined() ? nothing_in(input) : item;
    }
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    return items.empty() ? nothing_in(input) : items.back();
}

Outcome<Value> list(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("list", args, {}));
    WEIR_TRY_ASSIGN(std::vector<Value> items, to_vector(rt, input));
    return rt.list(std::move(items));
}

Outcome<Value> join(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("join", args, {"d", "attribute"}));
    WEIR_TRY_ASSIGN(const Value separator, to_str(rt, bound.get(0, rt.text(""))));
    WEIR_TRY_ASSIGN(const AttributePath path, AttributePath::of(rt, bound.get(1, Value())));
    WEIR_TRY_ASSIGN(std::vector<Value> items, to_vector(rt, input));
    for (Value& item : items) {
        WEIR_TRY_ASSIGN(item, path.get(rt, item));
    }
    return join_text(rt, rt.text(separator.text()), items);
}

Outcome<Value> reverse(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("reverse", args, {}));
    if (input.is_str()) {
        return get_slice(rt, input, Value(), Value(), Value::integer(-1));
    }
    WEIR_TRY_ASSIGN(std::vector<Value> items, to_vector(rt, input));
    std::reverse(items.begin(), items.end());
    return rt.generator(std::move(items));
}

// The key of one item: its attributes, in lower case unless case matters.
Outcome<Value> sort_key(Runtime& rt, const std::vector<AttributePath>& paths, const Value& item,
                        bool case_sensitive) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) {
        WEIR_TRY_ASSIGN(Value key, path.get(rt, item));
        if (!case_sensitive) {
            WEIR_TRY_ASSIGN(key, ignore_case(rt, key));
        }
        keys.push_back(key);
    }
    return keys.size() == 1 ? keys[0] : rt.tuple(std::move(keys));
}

Outcome<std::vector<Value>> sort_items(Runtime& rt, const std::vector<Value>& items,
                                       const std::vector<Value>& keys, SortOrder direction) {
    WEIR_TRY_ASSIGN(const std::vector<size_t> order, sorted_indices(rt, keys, direction));
    std::vector<Value> sorted;
    sorted.reserve(items.size());
    for (const size_t i : order) {
        sorted.push_back(items[i]);
    }
    return sorted;
}

SortOrder direction_of(bool reversed) {
    return reversed ? SortOrder::Descending : SortOrder::Ascending;
}

Outcome<Value> sort(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound,
                    Bound::bind("sort", args, {"reverse", "case_sensitive", "attribute"}));
    WEIR_TRY_ASSIGN(const auto paths, attribute_paths(rt, bound.get(2, Value())));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    std::vector<Value> keys;
    for (const Value& item : items) {
        WEIR_TRY_ASSIGN(const Value key, sort_key(rt, paths, item, bound.flag(1, false)));
        keys.push_back(key);
    }
    WEIR_TRY_ASSIGN(std::vector<Value> sorted,
                    sort_items(rt, items, keys, direction_of(bound.flag(0, false))));
    return rt.list(std::move(sorted));
}

Outcome<Value> dictsort(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound,
                    Bound::bind("dictsort", args, {"case_sensitive", "by", "reverse"}));
    WEIR_TRY_ASSIGN(const Value by, bound.str(rt, 1, "key"));
    if (by.bytes() != "key" && by.bytes() != "value") {
        return raise("You can only sort by either \"key\" or \"value\"");
    }
    if (!input.is(Kind::Dict)) {
        return type_error("only a mapping can be sorted by its keys", input);
    }
    std::vector<Value> pairs;
    std::vector<Value> keys;
    for (const auto& [key, value] : input.dict().entries()) {
        WEIR_TRY(rt.charge());
        pairs.push_back(rt.tuple({key, value}));
        Value sort_by = by.bytes() == "key" ? key : value;
        if (!bound.flag(0, false)) {
            WEIR_TRY_ASSIGN(sort_by, ignore_case(rt, sort_by));
        }
        keys.push_back(sort_by);
    }
    WEIR_TRY_ASSIGN(std::vector<Value> sorted,
                    sort_items(rt, pairs, keys, direction_of(bound.flag(2, false))));
    return rt.list(std::move(sorted));
}

Outcome<Value> unique(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound,
                    Bound::bind("unique", args, {"case_sensitive", "attribute"}));
    WEIR_TRY_ASSIGN(const auto path, AttributePath::of(rt, bound.get(1, Value())));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    const auto less = [](const Value& a, const Value& b) {
        return order_keys(a, b) < 0;
    };
    std::map<Value, bool, decltype(less)> seen(less);
    std::vector<Value> kept;
    for (const Value& item : items) {
        WEIR_TRY_ASSIGN(Value key, path.get(rt, item));
        if (!bound.flag(0, false)) {
            WEIR_TRY_ASSIGN(key, ignore_case(rt, key));
        }
        if (!is_hashable(key)) {
            return type_error("unhashable type", key);
        }
        rt.account(2 * sizeof(Value));
        if (seen.try_emplace(key, true).second) {
            kept.push_back(item);
        }
    }
    return rt.generator(std::move(kept));
}

Outcome<Value> groupby(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound,
                    Bound::bind("groupby", args, {"attribute", "default", "case_sensitive"}, 1));
    WEIR_TRY_ASSIGN(const AttributePath path, AttributePath::of(rt, bound[0]));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    std::vector<Value> names;
    std::vector<Value> keys;
    for (const Value& item : items) {
        WEIR_TRY_ASSIGN(Value name, path.get(rt, item));
        name = name.is_undefined() ? bound.get(1, name) : name;
        WEIR_TRY_ASSIGN(const Value key,
                        bound.flag(2, false) ? Outcome<Value>(name) : ignore_case(rt, name));
        names.push_back(name);
        keys.push_back(key);
    }
    WEIR_TRY_ASSIGN(const auto order, sorted_indices(rt, keys, SortOrder::Ascending));
    std::vector<Value> groups;
    for (size_t i = 0; i < order.size();) {
        std::vector<Value> group;
        const size_t head = order[i];
        for (bool same = true; same && i < order.size();) {
            group.push_back(items[order[i++]]);
            if (i < order.size()) {
                WEIR_TRY_ASSIGN(same, equals(rt, keys[head], keys[order[i]]));
            }
        }
        groups.push_back(rt.tuple({names[head], rt.list(std::move(group))}, Seq::Tag::Group));
    }
    return rt.list(std::move(groups));
}

Outcome<Value> batch(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("batch", args, {"linecount", "fill_with"}, 1));
    WEIR_TRY_ASSIGN(const Whole size, bound.integer(0, 0));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    const size_t width = size < 1 ? 1 : static_cast<size_t>(size);
    std::vector<Value> rows;
    for (size_t from = 0; from < items.size();) {
        const size_t to = width > items.size() - from ? items.size() : from + width;
        std::vector<Value> row(items.begin() + static_cast<ptrdiff_t>(from),
                               items.begin() + static_cast<ptrdiff_t>(to));
        if (bound.has(1) && !bound[1].is_none() && row.size() < width) {
            if (width > rt.room() / sizeof(Value)) {
                return raise_text(kTemplateLimit, "the template uses too much memory");
            }
            row.resize(width, bound[1]);
        }
        WEIR_TRY(rt.charge(1 + row.size() / 16));
        rows.push_back(rt.list(std::move(row)));
        from = to;
    }
    return rt.generator(std::move(rows));
}

Outcome<Value> slice(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("slice", args, {"slices", "fill_with"}, 1));
    WEIR_TRY_ASSIGN(const Whole wanted, bound.integer(0, 0));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    if (wanted < 1) {
        return raise("slice needs at least one slice");
    }
    const auto slices = static_cast<size_t>(wanted);
    const size_t each = items.size() / slices;
    const size_t longer = items.size() % slices;
    std::vector<Value> columns;
    auto from = items.begin();
    for (size_t i = 0; i < slices; ++i) {
        WEIR_TRY(rt.charge());
        const auto to = from + static_cast<ptrdiff_t>(each + (i < longer ? 1 : 0));
        std::vector<Value> column(from, to);
        if (bound.has(1) && !bound[1].is_none() && i >= longer) {
            column.push_back(bound[1]);
        }
        columns.push_back(rt.list(std::move(column)));
        from = to;
    }
    return rt.generator(std::move(columns));
}

Outcome<Value> sum(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("sum", args, {"attribute", "start"}));
    WEIR_TRY_ASSIGN(const AttributePath path, AttributePath::of(rt, bound.get(0, Value())));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    Value total = bound.get(1, Value::integer(0));
    if (total.is_str()) {
        return raise("sum() can't sum strings");
    }
    for (const Value& item : items) {
        WEIR_TRY_ASSIGN(const Value term, path.get(rt, item));
        WEIR_TRY_ASSIGN(total, apply(rt, Operator::Add, total, term));
    }
    return total;
}

template <int sign>
Outcome<Value> extreme(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("min", args, {"case_sensitive", "attribute"}));
    WEIR_TRY_ASSIGN(const auto path, AttributePath::of(rt, bound.get(1, Value())));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, input));
    Value best = nothing_in(input);
    Value best_key;
    for (size_t i = 0; i < items.size(); ++i) {
        WEIR_TRY_ASSIGN(Value key, path.get(rt, items[i]));
        if (!bound.flag(0, false)) {
            WEIR_TRY_ASSIGN(key, ignore_case(rt, key));
        }
        WEIR_TRY_ASSIGN(const int than_best,
                        i == 0 ? Outcome<int>(sign) : order(rt, key, best_key));
        if (than_best == sign) {
            best = items[i];
            best_key = key;
        }
    }
    return best;
}

Outcome<Value> items(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("items", args, {}));
    if (input.is_undefined()) {
        return rt.generator({});
    }
    if (!input.is(Kind::Dict)) {
        return raise("Can only get item pairs from a mapping.");
    }
    WEIR_TRY_ASSIGN(const Value view, find_dict_method("items")->call(rt, input, {}));
    return rt.generator(view.items());
}

// Attributes only: what a mapping holds is not found.
Outcome<Value> attribute(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("attr", args, {"name"}, 1));
    WEIR_TRY_ASSIGN(const Value name, to_str(rt, bound[0]));
    WEIR_TRY_ASSIGN(const Value found, get_attribute(rt, input, name.bytes()));
    if (input.is(Kind::Dict) && !found.is(Kind::Native)) {
        return Value::undefined(&name.bytes(), "dict object");
    }
    return found;
}

constexpr Filter kFilters[] = {
    {"default", default_value}, {"d", default_value}, {"length", count},      {"count", count},
    {"first", first},           {"last", last},       {"list", list},         {"join", join},
    {"reverse", reverse},       {"sort", sort},       {"dictsort", dictsort}, {"unique", unique},
    {"groupby", groupby},       {"batch", batch},     {"slice", slice},       {"sum", sum},
    {"min", extreme<-1>},       {"max", extreme<1>},  {"items", items},       {"attr", attribute},
};

}  // namespace

std::span<const Filter> sequence_filters() {
    return kFilters;
}

}  // namespace weir::text::jinja
