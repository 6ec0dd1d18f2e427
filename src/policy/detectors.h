#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::policy {

enum class Finding : uint8_t {
    Email,
    PaymentCard,
    Iban,
    Phone,
    NationalId,
    Secret,      // API keys, tokens, passwords in URLs, private keys
    Unreadable,  // a long run of encoded bytes that cannot be looked into
};

std::string_view name(Finding finding);

// Receives what was found; never the text itself.
class FindingSet {
  public:
    void add(Finding finding) { bits_ |= bit(finding); }
    bool has(Finding finding) const { return (bits_ & bit(finding)) != 0; }
    bool empty() const { return bits_ == 0; }

  private:
    static uint32_t bit(Finding finding) { return 1u << static_cast<uint32_t>(finding); }
    uint32_t bits_ = 0;
};

// Each looks through folded text (policy::fold) in linear time.
void detect_email(std::string_view folded, FindingSet& found);
void detect_payment_card(std::string_view folded, FindingSet& found);  // 13-19 digits with Luhn
void detect_iban(std::string_view folded, FindingSet& found);          // mod 97, ISO 13616
void detect_phone(std::string_view folded, FindingSet& found);
void detect_national_id(std::string_view folded, FindingSet& found);
void detect_secret(std::string_view folded, FindingSet& found);

// All of them.
void detect_all(std::string_view folded, FindingSet& found);

// Those for which it matters which letters stand there; the others find the same in letters that
// were changed for others.
void detect_lettered(std::string_view folded, FindingSet& found);

// The last digit makes the Luhn sum a multiple of ten. `digits`: ASCII digits only.
bool luhn_is_valid(std::string_view digits);
// An IBAN's length in that country ("DE"), or 0 if it has none.
size_t iban_characters(std::string_view country);
// The country's length, and ISO 7064 mod 97-10. No spaces, capital letters.
bool iban_is_valid(std::string_view iban);

}  // namespace weir::policy
