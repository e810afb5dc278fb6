//! Lists: filter, order, plan, pages.
