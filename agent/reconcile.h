#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/ring.h"
#include "gossip/message.h"
#include "mysql/dialect.h"

// What should this agent do to its own server now? (protocol.md section 5)
//
// Intuition: level-triggered. The head says what the upstream should be, the last look says what it is, and the
// difference is one deed: a short list of statements, or a reason why not. Nothing is remembered between two looks but
// the small durable Intent, so a crash at any statement is followed by the same comparison and the right rest.
//
// Invariants: a replication error is never skipped; a relay log that may hold the last transactions of a dead source is
// never thrown away undrained; what an operator did by hand is left alone until `resume`; a server that has not been
// checked since its start neither follows nor accepts writes that it did not accept before. Pure.
namespace ringagent {

enum class Deed : std::uint8_t {
  none,
  set_read_only,
  stop_link,
  create_link,
  repoint,
  start_link,
  start_receiver,
  prime,
  lift_read_only
};
const char* to_string(Deed deed);
bool touches_link(Deed deed);

// What this agent last did to the link, durably: written before the first statement and after the last.
struct Intent {
  Address source;
  bool working = false;             // between the two
  std::int64_t started_unix_s = 0;  // of the mysqld that it was done to
  std::string text() const;
  static Intent parse(const std::string& text);
};

struct Situation {
  const Config* config = nullptr;
  NodeId self;
  const ServerState* server = nullptr;
  std::optional<NodeId> upstream;      // whom to follow: that of the own place, or for a while another one in the ring
  const NodeRecord* source = nullptr;  // of that one; null: it is not known to answer
  std::string may_give;          // others in the ring that may have what `source` has purged and this server lacks
  bool old_source_well = false;  // the present source is in the ring and its server up: it can give all again
  Intent intent;
  bool start_checked = false;  // this start of mysqld was compared with what the others have
  bool adopted = false;        // it was up and writable before this agent ever saw it: leave it so
  std::string unsafe;
  std::string unfit;               // errors of the preconditions: no link is made or moved while they stand
  bool read_only_is_ours = false;  // set by this agent, or by the boot of this start
  bool link_verified = false;
  bool closed_for_good = false;       // no member any more, and was made read_only once; a person may open it again
  bool fence_without_quorum = false;  // on_quorum_loss = "read_only", and quorum is lost
  bool may_write = false;             // one writer: it is this server, and its lease holds
  bool may_open = false;              // ... for long enough to begin
  LinkSettings link_settings;
};

struct Plan {
  Deed deed = Deed::none;
  Address source;  // of create_link and repoint
  std::vector<Statement> statements;
  bool drain = false;        // first wait until everything received is applied
  std::string why;           // what for, or why nothing can be done though something is wanted
  bool blocked = false;      // something is wanted and cannot be done
  std::string foreign;       // what an operator changed by hand
  std::string needs_reseed;  // the wanted source can no longer give what this server lacks
  bool link_fits = false;    // the link is as the head wants it, and runs
  bool urgent = false;       // a lease has ended: nothing else comes first
};
Plan reconcile(const Situation& situation);

// How Plan::needs_reseed begins.
inline constexpr const char* kNeedsReseed = "needs reseed: ";

// Has `source` all that `server` lacks in its binary log? What it does not have yet will come to it round the ring.
bool can_give(const NodeRecord& source, const ServerState& server);

// Who is only out because of its link goes on taking writes; everybody else who is out takes none.
bool writes_while_out(const Member& member);

// Its data is made anew: it takes no writes and follows nobody until the copy is there.
bool is_copied_onto(const Member& member);

// The class of a member whose data has been made anew, until it comes in (a leaf keeps it).
inline constexpr const char* kCopied = "copied";

}  // namespace ringagent
