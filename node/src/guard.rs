//! The one outgoing fetch for hosts that somebody else named.
