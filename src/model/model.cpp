#include "model/model.h"

namespace weir::model {

size_t logit_rows(std::span<const SequenceSlice> batch) {
    size_t rows = 0;
    for (const SequenceSlice& slice : batch) {
        switch (slice.logits) {
            case LogitsWanted::None:
                break;
            case LogitsWanted::Last:
                rows += 1;
                break;
            case LogitsWanted::All:
                rows += slice.tokens.size();
                break;
        }
    }
    return rows;
}

}  // namespace weir::model
