// map, select, reject and their attribute forms: filters that apply a filter or a test to each
// item.

#include "text/jinja/builtins.h"
#include "text/jinja/keys.h"

namespace weir::text::jinja {
namespace {

// Jinja reads nothing from what is false, none included.
Outcome<std::vector<Value>> items_of(Runtime& rt, const Value& input) {
    return truthy(input) ? to_vector(rt, input) : Outcome<std::vector<Value>>();
}

Outcome<Value> map_attribute(Runtime& rt, const std::vector<Value>& items, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("map", args, {"attribute", "default"}, 1));
    WEIR_TRY_ASSIGN(const AttributePath path, AttributePath::of(rt, bound[0]));
    std::vector<Value> mapped;
    for (const Value& item : items) {
        WEIR_TRY_ASSIGN(const Value value, path.get(rt, item));
        const bool use_default = value.is_undefined() && bound.has(1) && !bound[1].is_none();
        mapped.push_back(use_default ? bound[1] : value);
    }
    return rt.generator(std::move(mapped));
}

Outcome<Value> map(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const std::vector<Value> items, items_of(rt, input));
    if (args.positional.empty()) {
        return map_attribute(rt, items, args);
    }
    const Filter* filter =
        args.positional[0].is_str() ? find_filter(args.positional[0].bytes(), rt.mode()) : nullptr;
    if (filter == nullptr) {
        return raise("map: no such filter");
    }
    Args rest{{args.positional.begin() + 1, args.positional.end()}, args.named};
    std::vector<Value> mapped;
    const Runtime::Level level(rt);  // map can apply map
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    for (const Value& item : items) {
        WEIR_TRY(rt.charge());
        WEIR_TRY_ASSIGN(const Value value, filter->call(rt, item, rest));
        mapped.push_back(value);
    }
    return rt.generator(std::move(mapped));
}

enum class Subject : uint8_t { Item, Attribute };

template <bool keep, Subject subject>
Outcome<Value> filter_items(Runtime& rt, const Value& input, const Args& args) {
    constexpr size_t kTestAt = subject == Subject::Attribute ? 1 : 0;
    if (args.positional.size() < kTestAt) {
        return raise("selectattr: the attribute is missing");
    }
    AttributePath path;
    if constexpr (subject == Subject::Attribute) {
        WEIR_TRY_ASSIGN(path, AttributePath::of(rt, args.positional[0]));
    }
    const Test* test = nullptr;
    Args rest;
    if (args.positional.size() > kTestAt) {
        const Value& name = args.positional[kTestAt];
        test = name.is_str() ? find_test(name.bytes()) : nullptr;
        if (test == nullptr) {
            return raise("select: no such test");
        }
        rest = Args{{args.positional.begin() + kTestAt + 1, args.positional.end()}, args.named};
    }
    WEIR_TRY_ASSIGN(const std::vector<Value> items, items_of(rt, input));
    std::vector<Value> kept;
    for (const Value& item : items) {
        WEIR_TRY(rt.charge());
        WEIR_TRY_ASSIGN(const Value value, path.get(rt, item));
        WEIR_TRY_ASSIGN(const bool accepted, test != nullptr ? test->call(rt, value, rest)
                                                             : Outcome<bool>(truthy(value)));
        if (accepted == keep) {
            kept.push_back(item);
        }
    }
    return rt.generator(std::move(kept));
}

constexpr Filter kFilters[] = {
    {"map", map},
    {"select", filter_items<true, Subject::Item>},
    {"reject", filter_items<false, Subject::Item>},
    {"selectattr", filter_items<true, Subject::Attribute>},
    {"rejectattr", filter_items<false, Subject::Attribute>},
};

}  // namespace

std::span<const Filter> selection_filters() {
    return kFilters;
}

}  // namespace weir::text::jinja
