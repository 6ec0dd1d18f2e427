#pragma once

#include "base/result.h"
#include "text/vocab_keys.h"

// What the readers of vocab_keys.h share: the keys beside the vocabulary, and whether they hold.
namespace weir::text {

// Makes the list of tokens `vocabulary` long: names such as "[PAD31999]" for those that there are
// not, as converters write them, and none of those past it, which have no row in the model.
// Likewise for gaps. Unsupported where two tokens are written the same: readers look a token up by
// its text.
Result<void> fit_to(size_t vocabulary, VocabKeys& out);

// What `tokenizer` puts around a text. Unsupported for more than one token on a side.
Result<void> set_ends(const Tokenizer& tokenizer, VocabKeys& out);

// Encodes the same texts by `tokenizer` and by the keys. Unsupported where many plain ones become
// other tokens; what else differs is added to `lost`.
Result<void> check_same(const Tokenizer& tokenizer, VocabKeys& out);

}  // namespace weir::text
