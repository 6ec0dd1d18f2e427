#include "text/jinja/keys.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "text/jinja/builtins.h"

namespace weir::text::jinja {
namespace {

Value path_part(Runtime& rt, const Value& text, size_t from, size_t to) {
    const std::string_view part = std::string_view(text.bytes()).substr(from, to - from);
    int64_t index = 0;
    const auto [stop, code] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (code == std::errc{} && stop == part.data() + part.size() && !part.starts_with('-')) {
        return Value::integer(index);
    }
    return rt.slice(text, from, to);
}

}  // namespace

Outcome<AttributePath> AttributePath::of(Runtime& rt, const Value& attribute) {
    AttributePath path;
    if (attribute.is_none()) {
        return path;
    }
    if (!attribute.is_str()) {
        path.parts_.push_back(attribute);
        return path;
    }
    const std::string& text = attribute.bytes();
    for (size_t from = 0; from <= text.size();) {
        WEIR_TRY(rt.charge());
        const size_t to = std::min(text.find('.', from), text.size());
        path.parts_.push_back(path_part(rt, attribute, from, to));
        from = to + 1;
    }
    return path;
}

Outcome<Value> AttributePath::get(Runtime& rt, Value item) const {
    for (const Value& part : parts_) {
        WEIR_TRY(rt.charge());
        WEIR_TRY_ASSIGN(item, get_item(rt, item, part));
    }
    return item;
}

Outcome<std::vector<AttributePath>> attribute_paths(Runtime& rt, const Value& attribute) {
    std::vector<AttributePath> paths;
    if (!attribute.is_str()) {
        WEIR_TRY_ASSIGN(AttributePath path, AttributePath::of(rt, attribute));
        paths.push_back(std::move(path));
        return paths;
    }
    const std::string& text = attribute.bytes();
    for (size_t from = 0; from <= text.size();) {
        const size_t to = std::min(text.find(',', from), text.size());
        WEIR_TRY_ASSIGN(AttributePath path, AttributePath::of(rt, rt.slice(attribute, from, to)));
        paths.push_back(std::move(path));
        from = to + 1;
    }
    return paths;
}

Outcome<Value> ignore_case(Runtime& rt, const Value& value) {
    return value.is_str() ? map_case(rt, value, CaseMap::Lower) : Outcome<Value>(value);
}

Outcome<std::vector<size_t>> sorted_indices(Runtime& rt, const std::vector<Value>& keys,
                                            SortOrder direction) {
    std::vector<size_t> sorted(keys.size());
    std::iota(sorted.begin(), sorted.end(), size_t{0});
    std::vector<size_t> merged(keys.size());
    for (size_t width = 1; width < keys.size(); width *= 2) {
        for (size_t start = 0; start < keys.size(); start += 2 * width) {
            size_t left = start;
            const size_t middle = std::min(start + width, keys.size());
            const size_t end = std::min(start + 2 * width, keys.size());
            size_t right = middle;
            for (size_t to = start; to < end; ++to) {
                bool take_right = left == middle;
                if (!take_right && right < end) {
                    const Value& a = keys[sorted[left]];
                    const Value& b = keys[sorted[right]];
                    WEIR_TRY_ASSIGN(const int sign, direction == SortOrder::Ascending
                                                        ? order(rt, b, a)
                                                        : order(rt, a, b));
                    take_right = sign < 0;
                }
                merged[to] = take_right ? sorted[right++] : sorted[left++];
            }
        }
        std::swap(sorted, merged);
    }
    return sorted;
}

}  // namespace weir::text::jinja
