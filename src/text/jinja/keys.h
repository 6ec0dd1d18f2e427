#pragma once

#include <optional>
#include <vector>

#include "text/jinja/data_model.h"

namespace weir::text::jinja {

// The attribute argument of sort, map, groupby and their kin: "a.b", "0.name", an index.
class AttributePath {
  public:
    static Outcome<AttributePath> of(Runtime& rt, const Value& attribute);  // none: the item itself
    Outcome<Value> get(Runtime& rt, Value item) const;

  private:
    std::vector<Value> parts_;
};

// Several paths, "a,b.c": what sort takes.
Outcome<std::vector<AttributePath>> attribute_paths(Runtime& rt, const Value& attribute);

// Lower case of text, anything else as it is.
Outcome<Value> ignore_case(Runtime& rt, const Value& value);

enum class SortOrder : uint8_t { Ascending, Descending };

// The indices that sort `keys`: stable in both directions. A merge sort of our own, since a
// comparison can fail, and need not be consistent.
Outcome<std::vector<size_t>> sorted_indices(Runtime& rt, const std::vector<Value>& keys,
                                            SortOrder direction);

}  // namespace weir::text::jinja
