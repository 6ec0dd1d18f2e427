#pragma once

#include <vector>

#include "json/value.h"
#include "text/jinja/ast.h"
#include "text/jinja/template.h"

namespace weir::text::jinja {

// A value from outside; all of its texts are data.
Outcome<Value> value_of(Runtime& rt, const json::Value& value);

// The values of all names of a template at its top level: what the context has, the engine's
// globals, or undefined.
Outcome<std::vector<Value>> bind_globals(Runtime& rt, const Ast& ast, const json::Object& context,
                                         const std::vector<TrustedStrings>& trusted);

}  // namespace weir::text::jinja
