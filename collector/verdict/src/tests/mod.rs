//! Ring 2: the healthy tutorial, one thing broken at a time, and what must be said of it.
