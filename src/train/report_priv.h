/* train/report_priv.h: the pieces of the report page. Each appends HTML to a buffer; names and
 * notes are escaped where they are written, and every piece copes with parts of the report that are
 * missing. */
#ifndef GRAFT_TRAIN_REPORT_PRIV_H
#define GRAFT_TRAIN_REPORT_PRIV_H

#include "base/base.h"
#include "train/train.h"

/* The page's style sheet, report.css: lines up to a NULL. */
extern const char *const gf__report_style[];

/* Text as HTML: & < > " ' become entities; bytes that are not UTF-8 and control characters become
 * U+FFFD. */
void gf__report_text(gf__buffer *out, const char *text);
/* 0.975 as "97.5 %"; a dash where it is not a number. */
void gf__report_percent(gf__buffer *out, double fraction);

void gf__report_page(const gf_report *report, gf__buffer *out);
/* report_tables.c */
void gf__report_confusion(const gf_report *report, gf__buffer *out);
void gf__report_classes(const gf_report *report, gf__buffer *out);
/* report_svg.c: figures that take their colours from the style sheet */
void gf__report_curves(const gf_history *history, gf__buffer *out);
void gf__report_probes(const gf_report *report, gf__buffer *out);
void gf__report_interval(const gf_metrics *metrics, gf__buffer *out);

#endif
